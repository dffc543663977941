"""Fifty sentences that attention-based speech trips over, by what makes them hard. All of our own writing."""

HARD: dict[str, tuple[str, ...]] = {
    "one word": ("No.", "Why?", "Thursday.", "Incomprehensibly.", "Oh!"),
    "letters": (
        "A.",
        "B, C, D, and E.",
        "The V C R is by the T V.",
        "Spell it: S, S, S, C, H, W, A, R, Z.",
        "F B I, U S A, and X Y Z.",
    ),
    "digits": (
        "Call 555 0142, then dial 99.",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10.",
        "The code is 000 700 707.",
        "In 1999 we paid $12.50, in 2024 it was $31.75.",
        "Pi is 3.14159265.",
    ),
    "names": (
        "Mr. Wojciechowski met Siobhan O'Shaughnessy in Albuquerque.",
        "Tchaikovsky, Nietzsche, and Kierkegaard walked into a bar.",
        "Dr. Ngozi Adeyemi flew from Reykjavik to Ouagadougou.",
        "Zbigniew asked Aoife about Llanfair.",
        "Popocatepetl is near Tlaxcala.",
    ),
    "tongue twisters": (
        "Six thick thistle sticks, six thick thistles stick.",
        "The sixth sick sheik's sixth sheep's sick.",
        "Red lorry, yellow lorry, red lorry, yellow lorry.",
        "Which witch wished which wicked wish?",
        "Unique New York, you know you need unique New York.",
        "Rubber baby buggy bumpers bounce by the big brown bridge.",
    ),
    "repeated words": (
        "Ha ha ha ha ha ha.",
        "No, no, no, no, no, no, no, no!",
        "It was very, very, very, very, very late.",
        "That that is is that that is not is not.",
        "Knock, knock, knock, knock on the door.",
        "Row, row, row your boat, row, row, row.",
        "The rain, the rain, the rain, and then the rain.",
    ),
    "pauses": (
        "Well... I, uh, I mean: yes; that is, perhaps.",
        "Stop! Who goes there? Friend, or foe?",
        "One thing - only one - remains: courage.",
        "Yes. No. Yes. No. Maybe.",
    ),
    "plain words, odd order": (
        "Green the under quickly table sings a.",
        "To of and in the a is it.",
        "Cat.  Dog.  Cat.  Dog.  House.",
        "Stone stone water stone water water.",
    ),
    "thirty words": (
        "When the last of the boats had come in and the nets were hung to dry along the wall, "
        "the old men sat down together and talked about the weather and the price of salt.",
        "She opened the box, then the box inside the box, then the box inside that box, and at the bottom of the "
        "smallest one she found nothing but a key and a note.",
        "If you walk straight on until you reach the church, turn left at the baker, cross the bridge, and count "
        "nine doors, you will find the house where my grandmother was born.",
    ),
    "sixty words": (
        "There was a time when every village on this coast had a lamp in the highest window, and the woman who kept "
        "it burning was paid in bread and oil, and when she died the lamp went to her daughter, and nobody ever wrote "
        "any of it down, because everybody knew it, until the day came when nobody did.",
        "We counted the chairs, the tables, the plates, the cups, the spoons, the knives, and the forks, and then we "
        "counted them again from the other end, because the first sum was wrong and the second sum was wrong in "
        "another way, so that in the end we simply wrote down what the owner told us and went home before it rained.",
        "He said that he thought that she knew that they believed that it was true, and she said that she knew that "
        "he thought that they believed that it was not, and so on through the whole long evening, until the candles "
        "were low and the fire was out and neither of them could remember what it was that had been true at all.",
    ),
    "hardly a word": ("Mm.", "Hm?", "Psst!"),
}
