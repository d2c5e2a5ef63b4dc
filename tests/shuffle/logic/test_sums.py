from hypothesis import given
from hypothesis import strategies as st

from minispark.shuffle.logic.sizes import decode_sizes, encode_sizes
from minispark.shuffle.logic.sums import SizeSums

HOSTS = ("a", "b", "c")
OUTPUTS = st.lists(st.tuples(st.sampled_from(HOSTS), st.binary(min_size=3, max_size=3)), max_size=12)


def sums_of(*outputs: tuple[str, bytes], by_host: bool = True) -> SizeSums:
    sums = SizeSums(3, by_host=by_host)
    for host, codes in outputs:
        sums.add(host, codes)
    return sums


def test_totals_add_up_all_hosts() -> None:
    sums = sums_of(("a", encode_sizes([1000, 0, 10**9])), ("b", encode_sizes([1000, 0, 10**9])))

    assert sums.totals() == [2 * size for size in decode_sizes(encode_sizes([1000, 0, 10**9]))]


def test_a_host_counts_when_it_holds_the_fraction_exactly() -> None:
    codes = encode_sizes([100, 100, 0])
    sums = sums_of(*((host, codes) for host in "aabcd"))

    assert sums.largest_hosts(0, 0.2) == ("a", "b", "c", "d")
    assert sums.largest_hosts(1, 0.21) == ("a",)
    assert sums.largest_hosts(2, 0.2) == ()


def test_a_change_is_seen_by_the_next_question() -> None:
    codes = encode_sizes([100, 100, 100])
    sums = sums_of(("a", codes))
    assert sums.largest_hosts(0, 0.6) == ("a",)

    sums.add("b", codes)
    assert sums.largest_hosts(0, 0.6) == ()
    sums.subtract("a", codes)
    assert sums.largest_hosts(0, 0.6) == ("b",)
    sums.clear()
    assert sums.largest_hosts(0, 0.6) == ()


def test_without_hosts_only_the_totals_are_kept() -> None:
    sums = sums_of(*((f"host{number}", b"\x10\x20\x30") for number in range(100)), by_host=False)

    assert len(sums.sums) == 1
    assert sums.totals() == [100 * size for size in decode_sizes(b"\x10\x20\x30")]


@given(OUTPUTS, OUTPUTS, st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_the_answer_is_what_counting_one_by_one_finds(
    kept: list[tuple[str, bytes]], gone: list[tuple[str, bytes]], fraction: float
) -> None:
    sums = sums_of(*gone, *kept)
    for host, codes in gone:
        sums.subtract(host, codes)

    rows = {host: [decode_sizes(codes) for at, codes in kept if at == host] for host in HOSTS}
    sizes = {host: [sum(column) for column in zip(*each, strict=True)] for host, each in rows.items()}
    totals = [sum(size[reducer] for size in sizes.values() if size) for reducer in range(3)]
    assert sums.totals() == totals
    for reducer, total in enumerate(totals):
        large = {host for host, size in sizes.items() if size and size[reducer] >= max(1, total * fraction)}
        assert set(sums.largest_hosts(reducer, fraction)) == large
