"""The DARTS cells: published counts, genotypes, the supernet."""

import json
import os
from pathlib import Path

import pytest

from evonas.errors import UserError
from evonas.genomes.darts import EDGES, NODES, OPERATIONS, DARTSSpace
from evonas.genomes.genotype import CELLS, Genotype, published
from evonas.space import CodeError
from evonas.support.streams import stream

SHEETS = Path(os.environ.get("EVONAS_SHEETS", Path(__file__).parents[3] / "shared" / "systems"))
CLASSES = {"CIFAR-10": 10, "CIFAR-100": 100, "ImageNet": 1000}
V2 = published()["DARTS_V2"].genotype
PAIRS = [("skip_connect", 0), ("skip_connect", 1)] * 4


def form(pair, **others):
    """DARTS's form as JSON, with this pair throughout."""
    cells = {"normal": [pair] * 8, "normal_concat": list(NODES), "reduce": [pair] * 8, "reduce_concat": list(NODES)}
    return json.dumps(cells | others)


def parameters(name, channels, layers, **fields):
    return DARTSSpace(layers, channels, **fields).decode_genotype(published()[name].genotype).parameters


# ---- counts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layers", "channels", "count"),
    [
        ("DARTS_V2", 20, 36, 3_349_342),
        ("DARTS_V1", 20, 36, 3_169_414),
        ("NASNet-A", 20, 32, 3_061_738),  # inputs that repeat, five nodes
        ("AmoebaNet-A", 20, 36, 3_145_078),  # 1x7-7x1 convolutions
        ("SNAS_aggressive", 20, 36, 2_313_622),  # nodes of `none`
        ("GDAS_V1", 20, 36, 3_368_782),
        ("PDARTS_CIFAR10", 20, 36, 3_433_798),
        ("PC_DARTS_cifar", 20, 36, 3_634_678),
        ("Random_NSAS", 20, 36, 3_083_014),
    ],
)
def test_published_cells_have_their_exact_counts(name, layers, channels, count):
    assert parameters(name, channels, layers) == count


def test_the_imagenet_stem_has_its_exact_count():
    space = DARTSSpace(14, 48, stem="imagenet", input_shape=(3, 224, 224), outputs=1000)
    graph = space.decode_genotype(V2)
    assert graph.parameters == 4_718_752
    assert round(graph.multiply_adds / 1e6, 1) == 529.9


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("DARTS_V2", (2_858, 11_554, 8_234, 37_018, 69_618, 246_106)),
        ("PC_DARTS_cifar", (13_406, 22_286, 38_258, 66_770, 99_202, 335_738)),
        ("GDAS_V1", (15_918, 24_398, 43_858, 70_290, 100_594, 330_330)),
    ],
)
def test_small_networks_have_their_exact_counts(name, counts):
    sizes = ((4, 3), (4, 5), (8, 3), (8, 5), (8, 8), (16, 8))
    assert tuple(parameters(name, channels, layers) for channels, layers in sizes) == counts


@pytest.mark.parametrize(
    ("channels", "layers", "count"),
    [(4, 3, 72_854), (4, 5, 136_182), (8, 3, 209_442), (8, 5, 394_210), (8, 8, 597_890), (16, 8, 1_930_618)],
)
def test_supernets_have_their_exact_counts(channels, layers, count):
    space = DARTSSpace(layers, channels, search=True)
    assert space.decode(space.open()).parameters == count


def test_each_cell_of_the_second_order_network_has_its_count():
    graph, found = DARTSSpace(20, 36).decode_genotype(V2), {}
    for node in graph.nodes:
        part = node.name.split("/")[0]
        found[part] = found.get(part, 0) + sum(op.parameters(shape) for _, op, shape in graph.steps(node))
    cells = [26_532, 27_828, *[29_124] * 4, 21_024, 97_128, *[107_496] * 5, 83_520, 370_512, *[411_984] * 5]
    assert found == {"stem": 3_132, **{f"cell{n}": count for n, count in enumerate(cells)}, "classifier": 5_770}


@pytest.mark.skipif(not (SHEETS / "genotypes.json").exists(), reason="the sheet genotypes.json is not here")
def test_every_entry_of_the_sheet_has_its_exact_counts():
    entries = [e for e in json.loads((SHEETS / "genotypes.json").read_text())["genotypes"] if e.get("reduce")]
    assert len(entries) >= 23
    for entry in entries:
        large = entry["dataset"] == "ImageNet"
        space = DARTSSpace(
            entry["layers"], entry["init_channels"], stem="imagenet" if large else "cifar",
            input_shape=(3, 224, 224) if large else (3, 32, 32), outputs=CLASSES[entry["dataset"]],
        )  # fmt: skip
        genotype = Genotype.of_pairs(entry)
        assert space.decode_genotype(genotype).parameters == entry["params_exact"], entry["id"]
        assert round(space.decode_genotype(genotype).multiply_adds / 1e6, 1) == entry["conv_macs_millions"]
        assert published()[entry["name"]].genotype == genotype


# ---- the genome ---------------------------------------------------------------------------------------------------


def test_the_space_has_its_published_size():
    assert DARTSSpace().count() == ((1 * 3 * 6 * 10) * 7**8) ** 2 == 1_037_664_180**2


def test_every_random_genome_has_two_edges_a_node_and_comes_back_from_its_code():
    space = DARTSSpace()
    for seed in range(200):
        genome = space.random(stream(seed, "darts"))
        genotype = space.genotype(genome)
        for cell in (genotype.normal, genotype.reduce):
            assert [len(pairs) for pairs in cell] == [2, 2, 2, 2]
            assert all(first[1] < second[1] for first, second in cell)
        assert space.parse(space.format(genome)) == genome
        assert space.genome(genotype) == genome
        assert Genotype.of_pairs(genotype.to_pairs()) == genotype


def test_a_genome_and_its_genotype_mean_the_same_network():
    space = DARTSSpace(5, 4)
    for seed in range(30):
        genome = space.random(stream(seed, "darts"))
        assert space.decode(genome).digest() == space.decode_genotype(space.genotype(genome)).digest()


@pytest.mark.parametrize("name", ["DARTS_V1", "DARTS_V2", "GDAS_V1", "PC_DARTS_cifar", "SNAS_mild"])
def test_published_names_are_codes(name):
    space = DARTSSpace(8, 16)
    genome = space.parse(name)
    assert space.decode(genome).parameters == parameters(name, 16, 8)
    assert space.parse(json.dumps(published()[name].genotype.to_pairs())) == genome


def test_published_cells_outside_the_space_are_read_but_no_genomes_of_it():
    space = DARTSSpace(20, 32)
    with pytest.raises(CodeError, match=r"does not consist of nodes 2, 3, 4, 5"):
        space.parse("NASNet-A")
    code, graph = space.read("NASNet-A")
    assert (code, graph.parameters) == ("NASNet-A", 3_061_738)


@pytest.mark.parametrize("kind", ["{}", "V2 = {}", "genotypes.{}", "  {}\n"])
def test_a_genotype_is_read_as_python_prints_it(kind):
    cells = (f"{cell}={list(map(tuple, V2.to_pairs()[cell]))!r}, {cell}_concat=range(2, 6)" for cell in CELLS)
    space = DARTSSpace(8, 16)
    assert space.parse(kind.format(f"Genotype({', '.join(cells)})")) == space.parse("DARTS_V2")


def test_a_genotype_is_read_from_pairs_by_node_with_weights_and_without_its_output():
    nodes = tuple(tuple((*pair, 0.25) for pair in node) for node in V2.normal)
    others = tuple(tuple((*pair, None) for pair in node) for node in V2.reduce)
    code = f"Genotype(normal={nodes}, normal_concat=None, reduce={others}, reduce_concat=None, connects=None)"
    assert DARTSSpace().parse(code) == DARTSSpace().parse("DARTS_V2")


def test_nodes_of_three_and_one_pairs_are_written_and_read_back_as_they_were():
    cell = ((("skip_connect", 0), ("skip_connect", 1), ("sep_conv_3x3", 0)), (("max_pool_3x3", 2),))
    genotype, space = Genotype(cell, (2, 3), cell, (2, 3)), DARTSSpace(3, 4)
    assert Genotype.of_pairs(genotype.to_pairs()) == genotype
    code, graph = space.read(json.dumps(genotype.to_pairs()))
    assert Genotype.of_pairs(json.loads(code)) == genotype
    assert space.read(code)[1].digest() == graph.digest()


@pytest.mark.parametrize("every", [False, True])
def test_cells_with_empty_nodes_are_written_as_the_network_that_was_read(every):
    space = DARTSSpace(3, 4, every=every)
    code, graph = space.read("SNAS_aggressive")
    assert code.startswith("normal") == every  # it is of the space where each edge may be absent
    again, same = space.read(code)
    assert (again, same.digest()) == (code, graph.digest())
    if every:
        assert space.decode(space.parse(code)).digest() == graph.digest()


def test_a_node_that_takes_one_input_twice_is_no_genome():
    twice = form(["skip_connect", 0])
    with pytest.raises(CodeError, match="takes one input twice; decode it as a genotype"):
        DARTSSpace(every=True).parse(twice)
    _, graph = DARTSSpace(3, 4, every=True).read(twice)
    assert [len(node.inputs) for node in graph.nodes if node.name == "cell0/node2"] == [2]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("DARTS_V3", "is not a genotype; give a published one"),
        ('{"normal": []}', "not a genotype of DARTS"),
        ("{normal", "is not valid JSON, nor Python text"),
        ("{" + "[" * 100_000, "is not valid JSON, nor Python text"),
        ('{"normal": [], "normal": []}', "'normal' is given twice"),
        (form(["skip_connect", 0.5]), "an input, which is a whole number"),
        (form(["skip_connect", True]), "an input, which is a whole number"),
        (form(["skip_connect", float("nan")]), "'NaN' is not plain data"),
        (form(["skip_connect", 7]).replace("7", "1e999"), "an input, which is a whole number"),
        (form([None, 0]), "an input, which is a whole number"),
        (form(["skip_connect", 0], normal_concat=[2, 3.0]), r"normal_concat is \[2, 3.0\]; give the numbers"),
        (form(["skip_connect", 0], normal_concat="23"), "normal_concat is '23'; give the numbers"),
        (f"Genotype({PAIRS}, range(2, 10**9))", "'10 \\*\\* 9' is not plain data"),
        (f"Genotype({PAIRS}, range(2, 1000000000))", "a range has more than 1,000 numbers"),
        (f"Genotype({PAIRS}, __import__('os').getcwd())", "is not plain data"),
        ("normal | 0:none reduce 0:none", "0:none for a node that adds nothing"),
        ("normal ²:none reduce 0:none", "write input:operation"),
        ("normal " + "9" * 5000 + ":none reduce 0:none", "write input:operation"),
        ("normal 0:conv 1:conv reduce 0:conv 1:conv", "unknown operation 'conv'"),
        ("normal 5:none reduce 0:none", "node 2 has the input 5; use 0 to 1"),
        ("normal x:none reduce 0:none", "write input:operation"),
    ],
)
def test_codes_of_no_genotype_are_refused(code, says):
    with pytest.raises(CodeError, match=says):
        DARTSSpace().parse(code)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"channels": 15}, "use an even number"),
        ({"stem": "mnist"}, "use cifar or imagenet"),
        ({"input_shape": (3, 30, 30)}, "use sides that are multiples of 4"),
        ({"layers": 0}, "layers must be at least 1"),
    ],
)
def test_networks_that_cannot_be_are_refused(fields, says):
    with pytest.raises(UserError, match=says):
        DARTSSpace(**fields)


@pytest.mark.parametrize("fields", [{}, {"every": True}, {"search": True, "partial": 4}])
def test_a_supernet_weighs_all_eight_operations_on_every_edge(fields):
    space = DARTSSpace(**fields).supernet
    assert sum(len(token.options) for token in space.open()) == 224  # two matrices of 14 x 8 in the authors' code
    assert [choice.keys() for choice in space.choices(space.open()).values()] == [dict.fromkeys(OPERATIONS).keys()] * 28


def test_no_genome_of_a_supernet_leaves_out_an_edge_of_the_first_node():
    space = DARTSSpace(3, 4, search=True, input_shape=(1, 8, 8))
    assert space.count() == DARTSSpace().count()
    with pytest.raises(CodeError, match="token 1 is 'none'; normal/2<-0 takes one of max_pool_3x3"):
        space.decisions(("none", *space.open()[1:]))


def test_edges_are_in_the_order_of_the_published_weights():
    assert len(EDGES) == 14
    assert EDGES[:5] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert [target for _, target in EDGES] == [2] * 2 + [3] * 3 + [4] * 4 + [5] * 5
    assert NODES == (2, 3, 4, 5)
    assert OPERATIONS[:5] == ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3")


def test_cells_whose_nodes_concatenate_are_refused():
    cell = tuple((("skip_connect", 0), ("skip_connect", 1)) for _ in NODES)
    joining = Genotype(cell, NODES, cell, NODES, (3,), ())
    for reads in (DARTSSpace().genome, DARTSSpace().decode_genotype, lambda genotype: DARTSSpace().read(str(genotype))):
        with pytest.raises(CodeError, match="the normal cell has nodes that concatenate"):
            reads(joining)
