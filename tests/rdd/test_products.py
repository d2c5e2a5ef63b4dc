from minispark.messages.scheduler import unpack_integers
from minispark.rdd.lineage import describe
from minispark.rdd.node import locations_of
from minispark.rdd.sources import range_rdd
from minispark.testing.serial import SerialJobRunner


def test_a_product_tells_the_scheduler_which_partitions_it_needs() -> None:
    sc = SerialJobRunner()
    product = range_rdd(sc, 4, num_slices=2).cartesian(range_rdd(sc, 6, num_slices=3))
    lineage = describe(product.node, lambda dependency: 0)  # type: ignore[arg-type,return-value]  # no shuffle here
    needed = [
        (list(unpack_integers(dependency.starts)), list(unpack_integers(dependency.parents)))
        for dependency in lineage.nodes[-1].dependencies
        if not hasattr(dependency, "shuffle_id")
    ]
    assert needed == [([*range(7)], [0, 0, 0, 1, 1, 1]), ([*range(7)], [0, 1, 2, 0, 1, 2])]


def test_pairs_of_partitions_are_where_the_left_one_is() -> None:
    sc = SerialJobRunner()
    left = range_rdd(sc, 4, num_slices=2)
    left.node.preferred_locations = lambda partition: [f"host-{partition.index}"]  # type: ignore[method-assign]
    for pairs in (left.cartesian(range_rdd(sc, 2, num_slices=2)), left.zip(range_rdd(sc, 4, num_slices=2))):
        assert locations_of(pairs.node, pairs.node.partitions()[1]) in (["host-0"], ["host-1"])


def test_a_product_with_nothing_has_no_partitions() -> None:
    sc = SerialJobRunner()
    nothing = range_rdd(sc, 0, num_slices=1)
    nothing.node._partitions = []
    product = range_rdd(sc, 4, num_slices=2).cartesian(nothing)
    lineage = describe(product.node, lambda dependency: 0)  # type: ignore[arg-type,return-value]  # no shuffle here
    assert lineage.nodes[-1].num_partitions == 0
