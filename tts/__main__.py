"""`python -m tts COMMAND`."""

import sys

from tts.cli import main

sys.exit(main())
