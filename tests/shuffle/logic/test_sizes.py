import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.shuffle.logic.sizes import decode_size, decode_sizes, encode_size, encode_sizes


@pytest.mark.scenario("HIS-006", "MapStatus")
@pytest.mark.parametrize(
    ("size", "code"),
    [(0, 0), (1, 1), (2, 8), (10, 25), (1_000_000, 145), (1_000_000_000, 218), (10**18, 255)],
)
def test_sizes_have_the_codes_that_spark_gives_them(size: int, code: int) -> None:
    assert encode_size(size) == code


@pytest.mark.scenario("HIS-006", "MapStatus")
@pytest.mark.parametrize("size", [2, 10, 100, 50_000, 1_000_000, 1_000_000_000])
def test_a_decoded_size_is_within_a_tenth(size: int) -> None:
    assert 0.99 * size <= decode_size(encode_size(size)) <= 1.11 * size


@pytest.mark.scenario("HIS-006", "MapStatus")
def test_with_thousands_of_reducers_each_block_still_has_its_own_size() -> None:
    empty, small, skewed = [0] * 3, [*range(1, 2890)], [350 * 1024 + number for number in range(20)]

    decoded = decode_sizes(encode_sizes([*empty, *small, *skewed]))

    assert decoded[:3] == empty
    assert all(decoded[3:])
    assert decoded[3:] == pytest.approx([*small, *skewed], rel=0.1, abs=1)
    assert all(size >= true - 1 for size, true in zip(decoded[3:], [*small, *skewed], strict=True))


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
