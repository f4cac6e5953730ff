"""Columns: numbers however they are written, types that come back, parts that make one table, images of 16 bits."""

import datetime
import decimal
import itertools
import json
import struct
import zlib

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from PIL import Image

from datastill import KIP, Coreset, SupportSet, Universal, load
from datastill._errors import InputError
from datastill.data import dtypes
from datastill.data.dataset import Dataset
from datastill.data.numbers import MARKS, Format, formats_of, nearly, parsed
from datastill.data.reading import Reading
from datastill.data.sharding import shards_of
from datastill.data.shards import joined
from datastill.features.names import named_map
from datastill.moments import collect_all, survey
from datastill.moments.files import load_recipe, save_recipe
from datastill.preprocess.encoder import fit_encoder
from datastill.preprocess.tables import MAX_CATEGORIES, TableCoder

files = hypothesis.settings(
    max_examples=15, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
N = 40
Y = np.arange(N) % 2


def refused(function, *arguments, **settings):
    with pytest.raises(InputError) as caught:
        function(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# numbers that are written


def written(value, how):
    """A number with two decimals as people write it."""
    text = f"{abs(value):,.2f}".replace(",", "t").replace(".", how.decimal).replace("t", how.thousands)
    text = {"%": f"{text} %", "$": f"${text}", "€": f"{text} €"}.get(how.affix, text)
    return f"-{text}" if value < 0 else text


formats = st.builds(
    lambda marks, affix: marks._replace(affix=affix), st.sampled_from(MARKS), st.sampled_from(["", *"%$€"])
)
cents = st.lists(st.integers(-(10**9), 10**9).map(lambda n: n / 100), min_size=1, max_size=20)


@hypothesis.given(cents, formats)
def test_written_numbers_are_read_as_the_numbers_that_they_are(values, how):
    cells = [written(value, how) for value in values]
    found = formats_of({"a": list(dict.fromkeys(cells))}, point=False)["a"]
    assert parsed(pd.Series([*cells, None]), found).tolist()[:-1] == values


@hypothesis.given(st.lists(st.integers(1, 999), min_size=1), st.lists(st.integers(0, 999), min_size=1), st.booleans())
def test_a_comma_that_may_be_either_is_told_by_the_other_columns_or_refused(heads, tails, point):
    cells = [f"{a},{b:03}" for a, b in zip(heads, tails, strict=False)]
    if point:
        assert formats_of({"a": cells}, point=True)["a"] == Format(".", ",")
    else:
        message = refused(formats_of, {"a": cells}, point=False)
        assert "'a'" in message and cells[0] in message
    assert formats_of({"a": cells, "b": ["1,5", "0,25"]}, point=False)["a"] == Format(",")


WORDS = [
    "2020-01-02",
    "10.0.0.1",
    "1/2",
    "12:30",
    "0x1F",
    "v1.2",
    "1-2",
    "a",
    "()",
    "-",
    "%",
    "1,23,456",
    "01,234 567",
    "",
]


@pytest.mark.parametrize("word", WORDS)
def test_other_words_are_no_numbers(word):
    assert formats_of({"a": [word]}, point=False) == {}
    assert formats_of({"a": [word, "12,5"]}, point=False) == {}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("(1,200.5)", -1200.5),
        ("12.5-", -12.5),
        ("−3", -3),
        ("- 3", -3),
        ("+3", 3),
        ("-$3.50", -3.5),
        ("$-3.50", -3.5),
        ("($3)", -3),
        ("3€", 3),
        ("1\u00a0234", 1234),
        ("1\u202f234,5", 1234.5),
        ("1’234", 1234),
        ("1_234", 1234),
        ("1.5e-3", 0.0015),
        (",5", 0.5),
        ("12 %", 12),
    ],
)
def test_signs_and_spaces_of_numbers(cell, value):
    cells = [cell] if not cell.startswith("(") else [cell, "$1" if "$" in cell else "1"]
    how = formats_of({"a": cells}, point=False)["a"]
    assert parsed(pd.Series(cells), how).tolist()[0] == value


def test_a_column_of_mostly_numbers_says_which_cells_are_none():
    numbers = [str(i / 4) for i in range(50)]
    assert nearly([*numbers, "n.a.", "unknown"]) == ["n.a.", "unknown"]
    assert nearly([*numbers, "3,25"]) == ["3,25"]
    assert nearly(["a", "b", "1"]) == nearly(["1", "2", "x"]) == nearly([]) == []


def text(columns, separator=";"):
    rows = zip(*columns.values(), strict=True)
    return "\n".join([separator.join(columns), *(separator.join(map(str, row)) for row in rows)]) + "\n"


@files
@hypothesis.given(
    values=st.lists(st.integers(-(10**7), 10**7).map(lambda n: n / 100), min_size=N, max_size=N),
    how=formats,
    rows=st.integers(3, 50),
)
def test_a_table_cut_into_shards_is_read_as_the_whole(tmp_path, values, how, rows):
    values = [*values[2:], 1234.56, -0.5]  # which tell the marks
    path = tmp_path / "t.csv"
    path.write_text(text({"a": [written(v, how) for v in values], "b": range(N), "y": [f"{v} " for v in Y]}))
    whole = load(path, target="y")
    assert whole.x["a"].tolist() == values and whole.y.tolist() == Y.tolist()
    shards = shards_of([path], "y", rows=rows)
    recipe = survey(shards, named_map("fourier:4"), target="y", held=0)
    save_recipe(recipe, tmp_path / "recipe.safetensors")
    like = load_recipe(tmp_path / "recipe.safetensors").like
    assert like.reading.numbers == whole.reading.numbers
    batches = [batch for shard in shards for batch in shard.batches(7, like)]
    assert joined([x for x, _ in batches])["a"].tolist() == values
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), whole.y)


def test_a_point_between_thousands_is_one_where_decimals_have_commas(tmp_path):
    columns = {"a": ["1.234", "12.345"] * 20, "b": ["0,5", "1,25"] * 20, "c": ["1.5", "2.25"] * 20, "y": Y}
    (tmp_path / "t.csv").write_text(text(columns | {"c": Y}))
    assert load(tmp_path / "t.csv", target="y").x["a"].tolist()[:2] == [1234, 12345]
    (tmp_path / "t.csv").write_text(text({"a": columns["a"], "y": Y}))
    assert load(tmp_path / "t.csv", target="y").x["a"].tolist()[:2] == [1.234, 12.345]
    (tmp_path / "t.csv").write_text(text(columns))
    assert "'a'" in refused(load, tmp_path / "t.csv", target="y")


def test_written_targets_are_targets(tmp_path, rng):
    prices = rng.normal(20, 5, 150).round(2)
    path = tmp_path / "t.csv"
    path.write_text(text({"a": range(150), "price": [str(p).replace(".", ",") for p in prices]}))
    assert load(path, target="price").y.tolist() == prices.tolist()
    shards = shards_of([path], "price", rows=40)
    assert survey(shards, named_map("fourier:4"), target="price").source.task == "regression"
    path.write_text(text({"a": range(150), "price": [*prices[1:], "n.a."]}))
    assert "'n.a.'" in refused(load, path, target="price")
    assert "'n.a.'" in refused(survey, shards_of([path], "price", rows=40), named_map("fourier:4"), target="price")
    pd.DataFrame({"a": range(150), "price": [f"{p:.2f}".replace(".", ",") for p in prices]}).to_parquet(path)
    path = path.rename(tmp_path / "t.parquet")
    assert "'price'" in refused(load, path, target="price")


def test_test_tables_are_read_as_their_training_tables(tmp_path):
    (tmp_path / "train.csv").write_text(text({"a": ["1,5", "0,25"] * 20, "y": Y}))
    for cells, expected in (([1, 2], [1, 2]), (["1,234", "2,5"], [1.234, 2.5])):
        (tmp_path / "test.csv").write_text(text({"a": cells, "y": [0, 1]}))
        assert load(tmp_path / "train.csv", target="y", test=tmp_path / "test.csv").x_test["a"].tolist() == expected
    (tmp_path / "test.csv").write_text(text({"a": ["1.5", "x"], "y": [0, 1]}))
    assert "'a'" in refused(load, tmp_path / "train.csv", target="y", test=tmp_path / "test.csv")
    (tmp_path / "plain.csv").write_text(text({"a": [1.5, 2.5] * 20, "y": Y}))
    (tmp_path / "test.csv").write_text(text({"a": ["1,5", "2,5"], "y": [0, 1]}))
    assert "'1,5' in the column 'a'" in refused(load, tmp_path / "plain.csv", target="y", test=tmp_path / "test.csv")


def test_how_data_were_read_comes_back_from_json():
    for reading in (Reading(), Reading({"a": Format(",", ".", "€")}, 12, ("one", "two"))):
        assert Reading.from_json(json.loads(json.dumps(reading.as_json()))) == reading
    assert Reading.from_json(None) == Reading()


# types of columns

INTEGERS = ["int8", "uint8", "int16", "int32", "int64", "uint64", "Int8", "Int64", "UInt64", "int64[pyarrow]"]


@hypothesis.given(
    st.sampled_from(INTEGERS).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.lists(
                st.sampled_from(["low", "high", "middle"]).flatmap(
                    lambda at: st.tuples(st.just(at), st.integers(0, 99))
                ),
                min_size=2,
                max_size=6,
            ),
        )
    ),
    st.booleans(),
)
def test_whole_numbers_come_back_in_range_and_near(drawn, table):
    name, places = drawn
    whole = np.dtype(name.lower().removesuffix("[pyarrow]"))
    limits = np.iinfo(whole)
    middle = (int(limits.min) + int(limits.max)) // 2
    values = [{"low": limits.min + i, "high": limits.max - i, "middle": middle + i}[at] for at, i in places]
    if not table and name == name.lower() and "[" not in name:
        rows = np.array(values, whole)[:, None]
    else:
        rows = pd.DataFrame({"a": pd.array(np.array(values, whole), dtype=name)})
    space = fit_encoder(rows)
    decoded = space.decode(space.encode(rows))
    back = [int(v) for v in (decoded["a"] if isinstance(decoded, pd.DataFrame) else decoded[:, 0])]
    width = max(values) - min(values)
    slack = 2**-20 * width + 2 * np.spacing(float(max(abs(int(v)) for v in values))) + 1
    assert all(abs(found - value) <= slack for found, value in zip(back, values, strict=True))
    assert all(limits.min <= found <= limits.max for found in back)


def test_missing_whole_numbers_at_the_end_of_their_range_come_back():
    table = pd.DataFrame({"a": pd.array([2**63 - 1, None, -(2**63)], dtype="Int64")})
    coder = TableCoder.fit(table)
    pd.testing.assert_frame_equal(coder.decode(coder.encode(table)), table)


values_of_categories = st.one_of(
    st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-9, 9), min_size=1, max_size=5, unique=True),
    st.lists(st.floats(-9, 9), min_size=1, max_size=5, unique=True),
    st.just([True, False]),
    st.just([1, "a"]),
)


@hypothesis.given(values_of_categories, st.booleans(), st.booleans(), st.data())
def test_categories_come_back_with_their_order_and_those_that_do_not_occur(categories, ordered, learned, data):
    dtype = pd.CategoricalDtype(categories, ordered)
    cells = data.draw(st.lists(st.none() | st.sampled_from(categories), min_size=N, max_size=N))
    table = pd.DataFrame({"a": pd.Series(cells, dtype=dtype), "b": np.arange(N) / 2})
    method = "kmeans" if learned else "random"
    made = Coreset(method=method, ipc=2, random_state=0).fit(table, Y).support_set_
    assert made.x["a"].dtype == dtype
    assert dtypes.restored(json.loads(json.dumps(dtypes.described(dtype)))) == dtype


NAN = float("nan")
COLUMNS = {
    "floats": [1.5, NAN],
    "nothing": [NAN, NAN],
    "nothing of objects": pd.Series([None, None], dtype=object),
    "nothing nullable": pd.array([None, None], dtype="Int64"),
    "nothing true": pd.array([None, None], dtype="boolean"),
    "nothing of text": pd.array([None, None], dtype="string"),
    "no category": pd.Categorical([None, None], categories=["u"]),
    "no categories": pd.Categorical([None, None]),
    "bool": [True, False],
    "boolean": pd.array([True, None], dtype="boolean"),
    "objects": pd.Series([1, "a"], dtype=object),
    "truths": pd.Series([True, None], dtype=object),
    "string": pd.array(["a", None], dtype="string"),
    "python strings": pd.array(["a", None], dtype="string[python]"),
    "Int8": pd.array([127, None], dtype="Int8"),
    "Float32": pd.array([1.5, None], dtype="Float32"),
    "arrow double": pd.array([1.5, None], dtype="double[pyarrow]"),
    "arrow bool": pd.array([True, None], dtype="bool[pyarrow]"),
    "arrow text": pd.array(["a", None], dtype=pd.ArrowDtype(pa.string())),
    "half": np.array([1.5, 2], np.float16),
    "long double": np.array([1.5, 2], np.longdouble),
    "other byte order": np.array([1, 2], ">i4"),
    "small categories": pd.Categorical(pd.array([3, 1], dtype="int8")),
    "date": [datetime.date(2020, 1, 1)] * 2,
    "datetime": pd.to_datetime(["2020", "2021"]),
    "zoned": pd.to_datetime(["2020", "2021"]).tz_localize("UTC"),
    "NaT": [pd.NaT, pd.NaT],
    "timedelta": pd.to_timedelta([1, 2], unit="s"),
    "period": pd.period_range("2020", periods=2, freq="M"),
    "interval": pd.arrays.IntervalArray.from_breaks([0, 1, 2]),
    "cut": pd.cut([1, 2], 2),
    "categories of times": pd.Categorical(pd.to_datetime(["2020", "2021"])),
    "infinite category": pd.Categorical([1.0, np.inf]),
    "complex": [1j, 2],
    "list": pd.Series([[1], [2, 3]]),
    "dict": pd.Series([{"a": 1}] * 2),
    "array": pd.Series([np.ones(2)] * 2),
    "tuple": pd.Series([(1, 2), (3, 4)]),
    "bytes": pd.Series([b"a", b"b"]),
    "decimal": pd.Series([decimal.Decimal("1.5")] * 2, dtype=object),
    "arrow decimal": pd.array([decimal.Decimal("1.5")] * 2, dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "arrow date": pd.array([datetime.date(2020, 1, 1)] * 2, dtype=pd.ArrowDtype(pa.date32())),
    "arrow list": pd.array([[1]] * 2, dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
}
REFUSED = list(COLUMNS)[list(COLUMNS).index("date") :]


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("method", ["kmeans", "random"])
def test_a_column_is_refused_by_its_name_or_comes_back_from_the_saved_set(tmp_path, kind, method):
    table = pd.DataFrame({"a column": pd.concat([pd.Series(COLUMNS[kind])] * 20, ignore_index=True), "b": np.arange(N)})
    estimator = Coreset(method=method, ipc=2, random_state=0)
    if kind in REFUSED:
        assert "'a column'" in refused(estimator.fit, table, Y)
        whole = SupportSet(table, Y)
        assert "'a column'" in refused(whole.save, tmp_path / "set")
        assert not (tmp_path / "set").exists()
        return
    made = estimator.fit(table, Y).support_set_
    made.save(tmp_path / "set")
    again = SupportSet.load(tmp_path / "set")
    pd.testing.assert_frame_equal(again.x, made.x)
    if kind not in ("long double", "other byte order"):
        assert made.x.dtypes.to_dict() == table.dtypes.to_dict()
    assert len(estimator.predict(table)) == N


def test_learning_keeps_the_types_of_columns_too(tmp_path):
    kinds = [kind for kind in COLUMNS if kind not in (*REFUSED, "long double", "other byte order")]
    table = pd.DataFrame({kind: pd.concat([pd.Series(COLUMNS[kind])] * 20, ignore_index=True) for kind in kinds})
    made = KIP(ipc=1, max_iter=2, random_state=0).fit(table, Y).support_set_
    made.save(tmp_path)
    pd.testing.assert_frame_equal(SupportSet.load(tmp_path).x, made.x)
    assert made.x.dtypes.to_dict() == table.dtypes.to_dict()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", 1], "text and by numbers"),
        (pd.MultiIndex.from_tuples([("x", "u"), ("x", "v")]), "('x', 'u')"),
        (pd.Index([("x", "u"), ("x", "v")], tupleize_cols=False), "('x', 'u')"),
        (["a", None], "nan|None"),
        (["a", "a"], "repeated column names"),
        (pd.to_datetime(["2020", "2021"]), "Timestamp"),
        ([b"a", b"b"], "b'a'"),
    ],
)
def test_names_that_cannot_be_kept_are_refused(names, said, rng):
    message = refused(Coreset(method="random", ipc=1).fit, pd.DataFrame(rng.normal(size=(N, 2)), columns=names), Y)
    assert any(word in message for word in said.split("|"))


@pytest.mark.parametrize("names", [["a", "b"], [0, 1], [0.5, 1.5], [True, False], ["", "b"]])
def test_names_come_back(names, rng, tmp_path):
    table = pd.DataFrame(rng.normal(size=(N, 2)), columns=names)
    Coreset(method="random", ipc=1, random_state=0).fit(table, Y).support_set_.save(tmp_path)
    assert SupportSet.load(tmp_path).x.columns.tolist() == names


def test_columns_of_too_many_texts_are_said_once_and_all_together():
    n = 2 * (MAX_CATEGORIES + 1)
    names = [f"user{i}@example.org" for i in range(n)]
    table = pd.DataFrame({"mail": names, "id": names, "kind": ["u", "v"] * (n // 2), "x": np.arange(n) / 2})
    for estimator in (Universal(ipc=1), Coreset(method="random", ipc=1)):
        message = refused(estimator.fit, table, np.arange(n) % 2)
        assert message.count("'mail'") == message.count("'id'") == message.count("dropping") == 1
        assert "'kind'" not in message


def test_an_older_set_with_categories_is_read():
    record = {"name": "a", "dtype": "category", "categories": ["u", "v"], "codes": {"tensor": "x.0.codes"}}
    found = dtypes_of_older(record)
    assert found["a"].tolist() == ["v", "u"] and found["a"].cat.categories.tolist() == ["u", "v"]


def dtypes_of_older(record):
    from datastill.data.archive import unpack

    return unpack({"table": [record]}, {"x.0.codes": np.array([1, 0], np.int32)})


# missing columns, and parts


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    "column", [[1.5, 2.5], [1, 2], ["u", "v"], [True, False]], ids=["reals", "whole", "text", "truths"]
)
def test_a_column_that_is_missing_altogether_is_missing_values(tmp_path, ending, column):
    train = pd.DataFrame({"a": column * 20, "b": np.arange(N) / 2, "y": ["p", "q"] * 20})
    for name, table in (("train", train), ("test", train.assign(a=None))):
        path = tmp_path / f"{name}.{ending}"
        table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    data = load(tmp_path / f"train.{ending}", target="y", test=tmp_path / f"test.{ending}")
    assert data.x_test["a"].isna().all()
    coder = TableCoder.fit(data.x)
    assert np.isfinite(coder.encode(data.x_test)).all()
    shards = shards_of([tmp_path / f"train.{ending}", tmp_path / f"test.{ending}"], "y")
    assert collect_all(survey(shards, named_map("fourier:4"), target="y"), shards).count == 2 * N


def write(folder, tables, ending):
    folder.mkdir()
    for i, table in enumerate(tables):
        path = folder / f"part-{i}.{ending}"
        table.to_parquet(path) if ending == "parquet" else table.to_csv(path, index=False)
    return folder


TABLE = pd.DataFrame({"a": np.arange(N) / 4, "b": ["u", "v"] * 20, "y": ["p", "q", "p", "p"] * 10})


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "tsv"])
@files
@hypothesis.given(cuts=st.lists(st.integers(0, N), min_size=1, max_size=5))
def test_a_folder_of_parts_is_the_table_that_was_cut(tmp_path_factory, ending, cuts):
    edges = [0, *sorted(cuts), N]
    folder = tmp_path_factory.mktemp("parts") / "t"
    write(folder, [TABLE[a:b] for a, b in itertools.pairwise(edges)], ending)
    (folder / "_SUCCESS").write_bytes(b"")
    data = load(folder, target="y")
    pd.testing.assert_frame_equal(data.x, TABLE.drop(columns="y"), check_dtype=False)
    assert data.y.tolist() == TABLE["y"].tolist()
    shards = shards_of([folder], "y")
    assert np.concatenate([shard.labels() for shard in shards]).tolist() == data.y.tolist()
    assert sum(shard.count for shard in shards) == N
    again = shards_of(sorted(folder.glob("part*")), "y")
    assert [shard.name for shard in again] == [shard.name for shard in shards]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_parts_without_rows_are_left_out_unless_all_are(tmp_path, ending):
    folder = write(tmp_path / "none", [TABLE[:0], TABLE[:0]], ending)
    for read in (load, lambda path, target: shards_of([path], target)):
        assert "no rows" in refused(read, folder, target="y")
        assert "no rows" in refused(read, folder / f"part-0.{ending}", target="y")
    some = write(tmp_path / "some", [TABLE[:0], TABLE[:20], TABLE[:0], TABLE[20:], TABLE[:0]], ending)
    shards = shards_of([some], "y")
    assert len(shards) == 2
    assert collect_all(survey(shards, named_map("fourier:4"), target="y"), shards).count == N


def test_parts_of_csv_without_even_names_are_left_out(tmp_path):
    folder = write(tmp_path / "t", [TABLE[:20], TABLE[20:]], "csv")
    (folder / "part-2.csv").write_bytes(b"")
    assert len(load(folder, target="y").y) == N
    assert len(shards_of([folder], "y")) == 2


def test_a_column_that_looks_different_in_two_parts_is_what_both_are(tmp_path):
    folder = write(tmp_path / "t", [TABLE[:20].assign(b=1), TABLE[20:]], "csv")
    assert set(load(folder, target="y").x["b"]) == {"1", "u", "v"}
    folder = write(tmp_path / "missing", [TABLE[:20].assign(a=None), TABLE[20:]], "parquet")
    assert load(folder, target="y").x["a"].dtype == np.float64
    shards = shards_of([folder], "y")
    assert collect_all(survey(shards, named_map("fourier:4"), target="y"), shards).count == N


def test_parts_are_split_by_their_names(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    for name, rows in (
        ("train-0", TABLE[:20]),
        ("train-1", TABLE[20:30]),
        ("test-0", TABLE[30:]),
        ("validation-0", TABLE),
    ):
        rows.to_parquet(folder / f"{name}.parquet")
    data = load(folder, target="y")
    assert (len(data.y), len(data.y_test)) == (30, 10)
    assert sum(shard.count for shard in shards_of([folder], "y")) == 30


def test_folders_that_are_no_parts_of_one_table_are_named(tmp_path):
    folder = write(tmp_path / "t", [TABLE[:20], TABLE[20:].rename(columns={"a": "z"})], "parquet")
    assert "'a', 'z'" in refused(load, folder, target="y")
    shards = shards_of([folder], "y")
    assert "'a', 'z'" in refused(survey, shards, named_map("fourier:4"), target="y")
    nested = tmp_path / "nested"
    (nested / "day=1").mkdir(parents=True)
    TABLE.to_parquet(nested / "day=1" / "t.parquet")
    assert "'day=1' holds tables" in refused(load, nested, target="y")
    both = write(tmp_path / "both", [TABLE], "parquet")
    TABLE.to_csv(both / "t.csv")
    assert "the parts of one table" in refused(load, both, target="y")


def test_repeated_names_in_parquet_are_refused_as_in_csv(tmp_path):
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([1, 2]), pa.array(["p", "q"])], names=["a", "a", "y"])
    pq.write_table(table, tmp_path / "t.parquet")
    for read in (load, lambda path, target: shards_of([path], target)):
        assert "'a' more than once" in refused(read, tmp_path / "t.parquet", target="y")


# images


def deep_images(folder, images, ending="png"):
    for i, image in enumerate(images):
        path = folder / "ab"[i % 2] / f"{i:02}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@files
@hypothesis.given(
    bits=st.sampled_from([8, 10, 12, 14, 16]), seed=st.integers(0, 99), ending=st.sampled_from(["png", "tif"])
)
def test_images_of_16_bits_keep_the_upper_eight_that_are_used(tmp_path_factory, bits, seed, ending):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 2**bits, (6, 5, 5)).astype(np.uint16)
    images[3, 0, 0] = 2**bits - 1
    folder = deep_images(tmp_path_factory.mktemp("deep"), images, ending)
    data = load(folder)
    np.testing.assert_array_equal(data.x, (images[[0, 2, 4, 1, 3, 5]] >> (bits - 8)).astype(np.uint8))
    assert bool(data.reading.notes) == (bits < 16)
    shards = shards_of([folder], rows=2)
    np.testing.assert_array_equal(np.concatenate([x for shard in shards for x, _ in shard.batches(1)]), data.x)


def test_test_images_are_scaled_as_the_training_images(tmp_path, rng):
    train = deep_images(tmp_path / "train", rng.integers(2048, 4096, (6, 5, 5)).astype(np.uint16))
    dark = rng.integers(0, 256, (6, 5, 5)).astype(np.uint16)
    test = deep_images(tmp_path / "test", dark)
    found = load(train, test=test)
    np.testing.assert_array_equal(found.x_test, (dark >> 4)[[0, 2, 4, 1, 3, 5]])
    np.testing.assert_array_equal(load(tmp_path).x_test, found.x_test)
    recipe = survey(shards_of([train]), named_map("fourier:4"))
    assert recipe.reading.bits == 12 and recipe.reading.notes
    (shard,) = shards_of([test])
    np.testing.assert_array_equal(next(shard.batches(9, recipe.like))[0], found.x_test)


def test_dark_colours_of_16_bits_are_refused(tmp_path, rng):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    for top, folder in ((4096, tmp_path / "dark"), (65536, tmp_path / "full")):
        for i in range(4):
            rows = rng.integers(0, top, (5, 15)).astype(">u2")
            rows[0, 0] = top - 1
            path = folder / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 5, 16, 2, 0, 0, 0))
            pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    assert load(tmp_path / "full").x.max() == 255
    for read in (load, lambda path: shards_of([path])):
        assert "16 bits a channel" in refused(read, tmp_path / "dark")


def test_broken_links_are_called_that(tmp_path):
    folder = deep_images(tmp_path / "i", np.zeros((4, 3, 3), np.uint8))
    (folder / "a" / "z.png").symlink_to("/nowhere/z.png")
    assert "z.png, a broken link" in refused(load, folder)
    (folder / "a" / "z.png").unlink()
    (folder / "c").symlink_to("/nowhere")
    assert "a broken link" in refused(load, folder)
    (tmp_path / "t.csv").symlink_to("/nowhere/t.csv")
    assert "a broken link to /nowhere/t.csv" in refused(load, tmp_path / "t.csv", target="y")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((30, 3, 9, 9), "channels first"),
        ((30, 1, 9, 9), "channels first"),
        ((30,), r"(30,)"),
        ((30, 2, 2, 2, 2), "(30, 2, 2, 2, 2)"),
        ((30, 3, 0), "(30, 3, 0)"),
    ],
)
def test_rows_of_another_shape_are_refused_by_every_way(tmp_path, shape, said):
    x, y = np.ones(shape), np.arange(30) % 2
    np.savez(tmp_path / "t.npz", x=x, y=y)
    (tmp_path / "pair").mkdir()
    np.save(tmp_path / "pair" / "x.npy", x)
    np.save(tmp_path / "pair" / "y.npy", y)
    for method in ("random", "kmeans"):
        assert said in refused(Coreset(method=method, ipc=1).fit, x, y)
    assert said in refused(load, tmp_path / "t.npz")
    assert said in refused(shards_of, [tmp_path / "t.npz"])
    if 0 not in shape:
        assert said in refused(shards_of, [tmp_path / "pair"])


def test_long_doubles_become_doubles_or_are_refused(tmp_path, rng):
    x = rng.normal(size=(N, 2)).astype(np.longdouble)
    np.savez(tmp_path / "t.npz", x=x, y=Y)
    assert load(tmp_path / "t.npz").x.dtype == np.float64
    made = Coreset(method="random", ipc=1, random_state=0).fit(x, Y).support_set_
    made.save(tmp_path / "set")
    assert SupportSet.load(tmp_path / "set").x.dtype == np.float64
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        assert "beyond the range" in refused(Coreset(ipc=1).fit, x * np.longdouble("1e400"), Y)


def test_a_dataset_says_how_it_was_read():
    assert Dataset("a", np.ones((2, 2)), np.ones(2)).reading == Reading()
