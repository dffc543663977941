"""Eight or sixteen lanes as one value inside compiled functions: explicit vectors, on any processor that numba knows.

Lanes are float32; those of `integers` are int32, for sums of products of small integers. Where nothing is said of
their number, there are eight.

A loop over such values keeps its accumulators in registers and streams the weights past them, which loops over single
numbers are not sure to do. LLVM turns eight lanes into whatever the processor has: one register of AVX, two of NEON.

Indices count numbers, from the start of the array's data; nothing is checked, so arrays are padded to whole vectors.
"""

import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils, config
from numba.core.datamodel import models
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import register_model

N = 8
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, N), ir.VectorType(_INT, N)
WIDE = 2 * N  # lanes where products stream: AVX-512 has registers of so many, and others take two or four
_CONTRACT = (
    "contract",
)  # one rounding for a product and its sum, where the processor has that; nothing else is loosened

Codegen = Callable[[Any, Any, Any, Any], Any]


class LanesType(types.Type):
    """Eight of what LLVM calls `vector`."""

    def __init__(self, name: str, vector: Any):
        super().__init__(name)
        self.vector = vector


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """How LLVM holds them."""

    def __init__(self, data_model_manager: Any, frontend_type: Any):
        super().__init__(data_model_manager, frontend_type, frontend_type.vector)


lanes, integers = LanesType("Lanes", _FLOATS), LanesType("IntegerLanes", _INTS)
wide_lanes = LanesType("WideLanes", ir.VectorType(_FLOAT, WIDE))


def intrinsic(function: Callable[..., Any]) -> Any:
    """numba's decorator, typed."""
    return numba_intrinsic(function)


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, pointee: Any) -> Any:
    """Where the item begins that the first two arguments name, an array and an index."""
    data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), pointee.as_pointer())


def _load_floats(kind: LanesType) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, arguments, kind.vector), align=4)

    return generate


@intrinsic
def load(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """Eight float32 from `index` on."""
    assert array.dtype == types.float32, f"an array of {array.dtype}"
    return lanes(array, types.intp), _load_floats(lanes)


@intrinsic
def load_wide(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """Sixteen float32 from `index` on."""
    assert array.dtype == types.float32, f"an array of {array.dtype}"
    return wide_lanes(array, types.intp), _load_floats(wide_lanes)


def _can_widen() -> bool:
    """Whether the machine code may convert float16: on x86, processors of before 2012 cannot, and LLVM would abort."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    if config.CPU_FEATURES is not None:
        return "+f16c" in config.CPU_FEATURES
    return bool(get_host_cpu_features().get("f16c"))


WIDENS = _can_widen()


def _widened(builder: Any, bits: Any) -> Any:
    """float16 to float32 by integers. Its exponent's bits, in place, stand for 2 ** 112 times less."""
    integers, floats = ir.VectorType(_INT, WIDE), wide_lanes.vector

    def all_lanes(number: int) -> Any:
        return ir.Constant(integers, [number] * WIDE)

    wide = builder.zext(bits, integers)
    sign = builder.shl(builder.and_(wide, all_lanes(0x8000)), all_lanes(16))
    rest = builder.shl(builder.and_(wide, all_lanes(0x7FFF)), all_lanes(13))
    size = builder.fmul(builder.bitcast(rest, floats), ir.Constant(floats, [2.0**112] * WIDE))
    return builder.bitcast(builder.or_(builder.bitcast(size, integers), sign), floats)


@intrinsic
def widen(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """Sixteen float32 from `index` on of an array of float32, or of uint16 that hold the bits of float16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        halves, shorts = ir.VectorType(ir.HalfType(), WIDE), ir.VectorType(ir.IntType(16), WIDE)
        bits = builder.load(_pointer(context, builder, signature, arguments, shorts), align=2)
        return builder.fpext(builder.bitcast(bits, halves), wide_lanes.vector) if WIDENS else _widened(builder, bits)

    if array.dtype == types.float32:
        return wide_lanes(array, types.intp), _load_floats(wide_lanes)
    assert array.dtype == types.uint16, f"an array of {array.dtype}"
    return wide_lanes(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """Write all lanes, of float32, from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, value.vector)
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def store_integers(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """Write eight lanes that hold integers as those of the array, int8 or int16, from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = ir.VectorType(ir.IntType(array.dtype.bitwidth), N)
        pointer = _pointer(context, builder, signature, arguments, stored)
        builder.store(builder.trunc(builder.fptosi(arguments[2], _INTS), stored), pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def no_sums(typing: Any) -> tuple[Any, Codegen]:
    """Zeros to add to."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_INTS, [0] * N)

    return integers(), generate


@intrinsic
def add_pairs(typing: Any, array: Any, index: Any, pair: Any, sums: Any) -> tuple[Any, Codegen]:
    """Sums + first * array[index + 2 i] + second * array[index + 2 i + 1], in lane i; an instruction or two.

    The array is int8; `pair` holds two int16 in one int32, the first in its lower half.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide, stored = ir.VectorType(_INT, 2 * N), ir.VectorType(ir.IntType(8), 2 * N)
        weights = builder.load(_pointer(context, builder, signature, arguments, stored), align=1)
        single = builder.insert_element(ir.Constant(_INTS, ir.Undefined), arguments[2], ir.Constant(_INT, 0))
        pairs = builder.shuffle_vector(single, single, ir.Constant(_INTS, [0] * N))
        factors = builder.sext(builder.bitcast(pairs, ir.VectorType(ir.IntType(16), 2 * N)), wide)
        products = builder.mul(builder.sext(weights, wide), factors)
        # LLVM knows this form of a sum of two products: processors have an instruction for it.
        halves = [ir.Constant(_INTS, list(range(first, 2 * N, 2))) for first in (0, 1)]
        even, odd = (builder.shuffle_vector(products, products, half) for half in halves)
        return builder.add(arguments[3], builder.add(even, odd))

    assert array.dtype == types.int8, f"weights of type {array.dtype}"
    return integers(array, types.intp, types.int32, integers), generate


@intrinsic
def to_floats(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """Integers as float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sitofp(arguments[0], _FLOATS)

    return lanes(integers), generate


@intrinsic
def transpose(
    typing: Any, source: Any, index: Any, stride: Any, target: Any, to: Any, target_stride: Any
) -> tuple[Any, Codegen]:
    """Eight rows of eight int16 become eight columns. Rows are `stride` apart in the source, and in the target."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        item = ir.IntType(16)
        stored = ir.VectorType(item, N)

        def rows(start: Any, step: Any) -> list[Any]:
            offsets = [builder.mul(step, ir.Constant(step.type, i)) for i in range(N)]
            return [builder.bitcast(builder.gep(start, [offset]), stored.as_pointer()) for offset in offsets]

        read = rows(_pointer(context, builder, signature, arguments, item), arguments[2])
        data = context.make_array(signature.args[3])(context, builder, value=arguments[3]).data
        write = rows(builder.gep(data, [arguments[4]]), arguments[5])
        joined = [builder.load(pointer, align=1) for pointer in read]
        while len(joined) > 1:  # eight vectors of 8 become one of 64
            size = 2 * joined[0].type.count
            order = ir.Constant(ir.VectorType(_INT, size), list(range(size)))
            joined = [builder.shuffle_vector(a, b, order) for a, b in zip(joined[::2], joined[1::2], strict=True)]
        for i, pointer in enumerate(write):
            column = ir.Constant(_INTS, [i + N * row for row in range(N)])
            builder.store(builder.shuffle_vector(joined[0], joined[0], column), pointer, align=1)
        return context.get_dummy_value()

    assert source.dtype == target.dtype == types.int16, f"arrays of {source.dtype} and {target.dtype}"
    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """Fetch the cache line of item `index`, which will be needed soon; it may lie beyond the array's end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8)
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), _INT, _INT, _INT])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To read (0), into all levels of the cache (3), as data (1).
        choices = [ir.Constant(_INT, n) for n in (0, 3, 1)]
        builder.call(fetch, [_pointer(context, builder, signature, arguments, byte), *choices])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _splat(kind: LanesType) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[0], signature.args[0], types.float32)
        undefined = ir.Constant(kind.vector, ir.Undefined)
        single = builder.insert_element(undefined, number, ir.Constant(_INT, 0))
        order = ir.Constant(ir.VectorType(_INT, kind.vector.count), [0] * kind.vector.count)
        return builder.shuffle_vector(single, undefined, order)

    return generate


@intrinsic
def splat(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """One number in all eight lanes."""
    return lanes(value), _splat(lanes)


@intrinsic
def splat_wide(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """One number in all sixteen lanes."""
    return wide_lanes(value), _splat(wide_lanes)


@intrinsic
def like(typing: Any, value: Any, number: Any) -> tuple[Any, Codegen]:
    """One number in as many lanes as `value` has."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(value)(context, builder, signature.return_type(number), arguments[1:])

    return value(value, number), generate


def _binary(method: str) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, method)(*arguments, flags=_CONTRACT)

    return generate


@intrinsic
def add(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A + b, lane by lane."""
    return a(a, a), _binary("fadd")


@intrinsic
def subtract(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A - b."""
    return a(a, a), _binary("fsub")


@intrinsic
def multiply(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A * b."""
    return a(a, a), _binary("fmul")


@intrinsic
def divide(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """A / b."""
    return a(a, a), _binary("fdiv")


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> tuple[Any, Codegen]:
    """A * b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = arguments
        return builder.fadd(builder.fmul(a, b, flags=_CONTRACT), c, flags=_CONTRACT)

    return a(a, a, a), generate


def _choose(comparison: str) -> Codegen:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)

    return generate


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """The larger; b where a is not a number."""
    return a(a, a), _choose(">")


@intrinsic
def minimum(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """The smaller; b where a is not a number."""
    return a(a, a), _choose("<")


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
        vector = signature.return_type.vector
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector]), f"{name}.v{vector.count}f32"
        )
        return builder.call(function, arguments)

    return generate


@intrinsic
def nearest(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """Every lane's nearest integer, as float32."""
    return value(value), _unary("llvm.rint")


@intrinsic
def absolute(typing: Any, value: Any) -> tuple[Any, Codegen]:
    """Every lane without its sign."""
    return value(value), _unary("llvm.fabs")


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> tuple[Any, Codegen]:
    """2 to the power of every lane, an integer in [-126, 127]: it goes straight into the exponent's bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = exponent.vector.count
        whole = ir.VectorType(_INT, count)
        biased = builder.add(builder.fptosi(arguments[0], whole), ir.Constant(whole, [127] * count))
        return builder.bitcast(builder.shl(biased, ir.Constant(whole, [23] * count)), exponent.vector)

    return exponent(exponent), generate
