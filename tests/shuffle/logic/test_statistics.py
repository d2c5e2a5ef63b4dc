import pytest

from minispark.shuffle.logic.statistics import pack_sizes, unpack_sizes


@pytest.mark.parametrize("sizes", [(), (0, 1), (1 << 40, 7)])
def test_sizes_come_out_as_they_were_packed(sizes: tuple[int, ...]) -> None:
    assert unpack_sizes(memoryview(pack_sizes(sizes))) == sizes
