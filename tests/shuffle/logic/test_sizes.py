from hypothesis import given
from hypothesis import strategies as st

from minispark.shuffle.logic.sizes import decode_size, decode_sizes, encode_size, encode_sizes


def test_an_empty_block_is_zero_and_nothing_else_is() -> None:
    assert encode_size(0) == 0
    assert encode_size(1) == 1
    assert decode_size(0) == 0
    assert decode_size(1) == 1


def test_the_largest_code_is_about_35_gigabytes() -> None:
    assert encode_size(1 << 60) == 255
    assert 35e9 < decode_size(255) < 36e9


@given(st.integers(1, 35_000_000_000))
def test_a_size_is_rounded_up_by_ten_percent_at_most(size: int) -> None:
    code = encode_size(size)

    assert 1 <= code <= 255
    assert size * 0.99 - 1 <= decode_size(code) <= size * 1.1 + 1


@given(st.lists(st.integers(0, 1 << 40)))
def test_codes_are_one_byte_per_reducer_in_order(sizes: list[int]) -> None:
    codes = encode_sizes(sizes)

    assert list(codes) == [encode_size(size) for size in sizes]
    assert decode_sizes(codes) == [decode_size(code) for code in codes]
