"""Eight float32 lanes as one value inside compiled functions: explicit vectors, on any processor that numba knows.

A loop over such values keeps its accumulators in registers and streams the weights past them, which loops over single
numbers are not sure to do. LLVM turns eight lanes into whatever the processor has: one register of AVX, two of NEON.

Indices count numbers, from the start of the array's data; nothing is checked, so arrays are padded to whole vectors.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import register_model

N = 8
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, N), ir.VectorType(_INT, N)
_CONTRACT = (
    "contract",
)  # one rounding for a product and its sum, where the processor has that; nothing else is loosened

Codegen = Callable[[Any, Any, Any, Any], Any]


class LanesType(types.Type):
    """Eight float32."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """How LLVM holds them."""

    def __init__(self, data_model_manager: Any, frontend_type: Any):
        super().__init__(data_model_manager, frontend_type, _FLOATS)


lanes = LanesType()


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba's decorator, typed."""
    return numba_intrinsic(function)


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, pointee: Any) -> Any:
    """Where the item begins that the first two arguments name, an array and an index."""
    data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), pointee.as_pointer())


def _load_floats(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.load(_pointer(context, builder, signature, arguments, _FLOATS), align=4)


def _load_bytes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    stored = ir.VectorType(ir.IntType(8), N)
    narrow = builder.load(_pointer(context, builder, signature, arguments, stored), align=1)
    return builder.sitofp(builder.sext(narrow, _INTS), _FLOATS)


@intrinsic
def load(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """Eight numbers from `index` on: float32, or int8, which are widened."""
    assert array.dtype in (types.float32, types.int8), f"numbers of type {array.dtype}"
    return lanes(array, types.intp), _load_floats if array.dtype == types.float32 else _load_bytes


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """Write eight float32 from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, _FLOATS)
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def store_bytes(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """Write eight integers in [-128, 127] as int8, from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = ir.VectorType(ir.IntType(8), N)
        pointer = _pointer(context, builder, signature, arguments, stored)
        builder.store(builder.trunc(builder.fptosi(arguments[2], _INTS), stored), pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    byte = ir.IntType(8)
    kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), _INT, _INT, _INT])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    # To read (0), into all levels of the cache (3), as data (1).
    choices = [ir.Constant(_INT, n) for n in (0, 3, 1)]
    builder.call(fetch, [_pointer(context, builder, signature, arguments, byte), *choices])
    return context.get_dummy_value()


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """Fetch the cache line of item `index`, which will be needed soon; it may lie beyond the array's end."""
    return types.void(array, types.intp), _prefetch


@intrinsic
def prefetch_bytes(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """The same for an int8 array; nothing for others, whose lines hold so few items that it would not pay."""

    def nothing(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array, types.intp), _prefetch if array.dtype == types.int8 else nothing


@intrinsic
def splat(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """One number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[0], signature.args[0], types.float32)
        single = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(_INT, 0))
        return builder.shuffle_vector(single, ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTS, [0] * N))

    return lanes(value), generate


def _binary(method: str) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, method)(*arguments, flags=_CONTRACT)

    return generate


@intrinsic
def add(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A + b, lane by lane."""
    return lanes(lanes, lanes), _binary("fadd")


@intrinsic
def subtract(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A - b."""
    return lanes(lanes, lanes), _binary("fsub")


@intrinsic
def multiply(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A * b."""
    return lanes(lanes, lanes), _binary("fmul")


@intrinsic
def divide(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A / b."""
    return lanes(lanes, lanes), _binary("fdiv")


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> tuple[Any, Codegen]:
    """A * b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = arguments
        return builder.fadd(builder.fmul(a, b, flags=_CONTRACT), c, flags=_CONTRACT)

    return lanes(lanes, lanes, lanes), generate


def _choose(comparison: str) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)

    return generate


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """The larger; b where a is not a number."""
    return lanes(lanes, lanes), _choose(">")


@intrinsic
def minimum(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """The smaller; b where a is not a number."""
    return lanes(lanes, lanes), _choose("<")


def _fold(combine: Callable[[Any, Any, Any], Any]) -> Codegen:
    """All lanes to one number, by halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        for half in (4, 2, 1):
            turned = ir.Constant(_INTS, [(i + half) % N for i in range(N)])
            value = combine(builder, value, builder.shuffle_vector(value, value, turned))
        return builder.extract_element(value, ir.Constant(_INT, 0))

    return generate


@intrinsic
def total(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """The sum of all lanes."""
    return types.float32(lanes), _fold(lambda builder, a, b: builder.fadd(a, b))


@intrinsic
def largest(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """The largest lane."""
    return types.float32(lanes), _fold(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


def _unary(name: str) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    return generate


@intrinsic
def nearest(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """Every lane's nearest integer, as float32."""
    return lanes(lanes), _unary("llvm.rint.v8f32")


@intrinsic
def absolute(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """Every lane without its sign."""
    return lanes(lanes), _unary("llvm.fabs.v8f32")


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> tuple[Any, Codegen]:
    """2 to the power of every lane, an integer in [-126, 127]: it goes straight into the exponent's bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biased = builder.add(builder.fptosi(arguments[0], _INTS), ir.Constant(_INTS, [127] * N))
        return builder.bitcast(builder.shl(biased, ir.Constant(_INTS, [23] * N)), _FLOATS)

    return lanes(lanes), generate
