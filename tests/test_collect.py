"""The pass: what it leaves does not depend on how data are cut, where it stops and goes on, or what was taken out."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastill._errors import InputError, OutputError
from datastill.data import archive
from datastill.data.sharding import shards_of
from datastill.features import PatchConv, RandomConv, RandomDense, RandomFourier
from datastill.moments import Collected, collect, collect_all, load, moments_of, save, survey
from datastill.moments.drift import drift
from datastill.moments.files import is_moments, load_recipe, manifest, save_recipe
from datastill.moments.passing import collect_to, forgettable, part_file
from datastill.moments.sample import Sample, held_out, row_hashes
from datastill.preprocess.labels import TargetScaler

DRAW = np.random.default_rng(0)
N = 400
Y = DRAW.integers(0, 3, N)
X = (DRAW.normal(size=(N, 4)) + Y[:, None]).astype(np.float32)
SUMS = ("second", "cross", "first", "square", "counts")
MAP = RandomDense(7)


def npz(folder, x=X, y=Y, name="data"):
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{name}.npz", x_train=x, y_train=y)
    return folder / f"{name}.npz"


def made(path, rows=50_000, map=MAP, recipe=None, **settings):
    """A pass over one file."""
    shards = shards_of([path], rows=rows)
    return collect_all(recipe or survey(shards, map, **settings), shards)


def assert_same(ours, theirs, tolerance=2e-6):
    for side in ("train", "held"):
        for name in SUMS:
            mine, other = (np.asarray(getattr(getattr(c, side), name)) for c in (ours, theirs))
            np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance * max(np.abs(other).max(initial=0), 1))
    for sample in ("starts", "checks"):
        for name in ("z", "y", "hashes"):
            mine, other = (getattr(getattr(c, sample), name) for c in (ours, theirs))
            np.testing.assert_array_equal(mine, other)


# Hashes and samples


@given(seed=st.integers(0, 1000))
def test_hashes_depend_on_a_row_alone(seed):
    x = np.random.default_rng(seed).normal(size=(20, 5)).astype(np.float32)
    h = row_hashes(x)
    assert len(set(h.tolist())) == 20
    np.testing.assert_array_equal(row_hashes(x[7:9].reshape(2, 5, 1)), h[7:9])
    np.testing.assert_array_equal(row_hashes(x + np.float32(1e-5) * (np.abs(np.modf(x * 1000)[0]) < 0.4)), h)


def test_hashes_are_frozen():
    """Held-out rows must stay held out from version to version."""
    assert row_hashes(np.array([[0.0, 1.5, -2.25], [1e30, 0, 0]], np.float32)).tolist() == FROZEN


FROZEN = [7487695787318382243, 10526856802312814555]


def test_hashes_are_spread_evenly():
    h = row_hashes(DRAW.normal(size=(20_000, 3)).astype(np.float32))
    counts = np.bincount((h >> np.uint64(60)).astype(int), minlength=16)
    assert np.abs(counts - 1250).max() < 5 * 1250**0.5
    for fraction in (0.0, 0.1, 0.5):
        assert held_out(h, fraction).mean() == pytest.approx(fraction, abs=0.02)


@given(cut=st.integers(0, 60), most=st.integers(0, 9), classes=st.booleans())
def test_samples_of_parts_add_to_the_sample_of_the_whole(cut, most, classes):
    z = X[:60]
    y = Y[:60] if classes else X[:60, :1]
    h = row_hashes(z)
    whole = Sample.of(z, y, h, most)
    parts = [Sample.of(z[part], y[part], h[part], most) for part in (slice(0, cut), slice(cut, 60))]
    for found in (parts[0] + parts[1], parts[1] + parts[0]):
        np.testing.assert_array_equal(found.z, whole.z)
        np.testing.assert_array_equal(found.y, whole.y)
    if classes:
        assert all(np.sum(whole.y == c) == min(most, np.sum(Y[:60] == c)) for c in range(3))
    else:
        assert len(whole.y) == most
    assert len((whole - whole).z) == 0


def test_the_overlap_of_rows_is_told_from_samples():
    h = row_hashes(X)
    a, b, c = (Sample.of(X[part], Y[part], h[part], 20) for part in (slice(0, 300), slice(300, N), slice(200, N)))
    assert a.shared(b) == 0
    assert a.shared(a) == 1
    assert a.shared(c) == pytest.approx(0.5, abs=0.25)


def test_a_sample_from_which_rows_were_forgotten_stays_random():
    """Beyond the last row that was kept, earlier rows are unknown: those of a later shard there are left out."""
    h = np.arange(40, dtype=np.uint64)
    order = np.random.default_rng(0).permutation(40)

    def of(rows):
        return Sample.of(X[rows], np.zeros(len(rows), int), h[rows], 5)

    first, second = of(np.sort(order[:30])), of(np.sort(order[30:]))
    left = first - Sample.of(first.z[1:4], first.y[1:4], first.hashes[1:4], 99)
    assert left.cuts == first.cuts == {0: np.sort(order[:30])[5]}
    both = left + second
    assert both.hashes.max() <= first.cuts[0]
    np.testing.assert_array_equal((second + left).hashes, both.hashes)
    assert left.shared(of(np.sort(order[:30]))) == pytest.approx(2 / 5)  # three of the five are not there any more


# The pass


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("rows", [7, 130, 1000])
def test_cuts_change_nothing(tmp_path, rows, by_class):
    path = npz(tmp_path)
    whole = made(path, by_class=by_class)
    assert_same(made(path, rows, recipe=whole.recipe), whole)
    assert whole.count == N
    assert 0.05 < whole.held.count / N < 0.16


def test_sums_are_those_of_the_rows_on_each_side(tmp_path):
    found = made(npz(tmp_path))
    z = found.recipe.space.encode(X)
    held = held_out(row_hashes(z), 0.1)
    for side, rows in ((found.train, ~held), (found.held, held)):
        alone = moments_of(found.recipe.source.map, [(z[rows], Y[rows])], found.recipe.source.labels)
        np.testing.assert_allclose(side.second, alone.second, rtol=1e-5, atol=1e-5)
        assert side.counts.tolist() == np.bincount(Y[rows], minlength=3).tolist()
    assert set(map(tuple, found.starts.z)) <= set(map(tuple, z[~held]))
    assert set(map(tuple, found.checks.z)) <= set(map(tuple, z[held]))


def test_equal_rows_are_on_one_side(tmp_path):
    found = made(npz(tmp_path, np.tile(X, (2, 1)), np.tile(Y, 2)))
    assert not set(map(tuple, found.starts.z)) & set(map(tuple, found.checks.z))
    assert (found.train.counts % 2 == 0).all()


def test_real_targets(tmp_path):
    y = (X @ np.array([1.0, 2, 3, 4])).astype(np.float64)
    found = made(npz(tmp_path, y=y), 90)
    assert found.recipe.source.outputs == 1
    assert found.train.square + found.held.square == pytest.approx(N, rel=1e-5)  # standardised
    assert len(found.starts.y) == 200


def test_tables_with_text_and_missing_values(tmp_path):
    table = pd.DataFrame(
        {
            "a": X[:, 0].astype(float).round(3),
            "town": np.where(Y == 1, "Köln", "<b>"),
            "class": np.array(["x", "y", "z"])[Y],
        }
    )
    table.loc[::9, "a"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet", row_group_size=60)
    shards = shards_of([tmp_path / "t.parquet"], "class", rows=60)
    recipe = survey(shards, RandomFourier(8), target="class")
    from_parquet = collect_all(recipe, shards)
    from_text = collect_all(recipe, shards_of([tmp_path / "t.csv"], "class"))
    assert len(shards) > 5
    assert_same(from_text, from_parquet)
    assert recipe.like.x.columns.tolist() == ["a", "town"]


def test_augmented_versions_count_in_equal_parts_and_are_forgotten_exactly(tmp_path):
    images = DRAW.normal(size=(30, 6, 6)).astype(np.float32)
    path = npz(tmp_path, images, Y[:30])
    whole = made(path, map=RandomConv(3, 1), augment="shift=1", versions=3, held=0.0)
    assert whole.train.count == pytest.approx(30)
    plain = made(path, map=RandomConv(3, 1), held=0.0)
    assert np.abs(whole.train.first - plain.train.first).max() > 1e-3
    part = npz(tmp_path, images[4:9], Y[4:9], "part")
    gone = forgettable(whole, shards_of([part])[0])
    rest = collect(
        whole.recipe,
        shards_of([npz(tmp_path, np.delete(images, range(4, 9), 0), np.delete(Y[:30], range(4, 9)), "rest")])[0],
    )
    for name in SUMS:
        np.testing.assert_allclose(getattr((whole - gone).train, name), getattr(rest.train, name), rtol=1e-5, atol=1e-4)
    flipped = made(path, map=RandomConv(3, 1), augment="flip", held=0.0)
    assert flipped.recipe.versions == 2


def test_forgetting_is_never_having_seen(tmp_path):
    whole = made(npz(tmp_path))
    gone = npz(tmp_path, X[50:90], Y[50:90], "gone")
    left = npz(tmp_path, np.delete(X, range(50, 90), 0), np.delete(Y, range(50, 90)), "left")
    forgotten = whole - forgettable(whole, shards_of([gone])[0])
    never = made(left, recipe=whole.recipe)
    for side in ("train", "held"):
        for name in SUMS:
            ours, theirs = (getattr(getattr(c, side), name) for c in (forgotten, never))
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)
    assert not np.isin(forgotten.starts.hashes, row_hashes(whole.recipe.space.encode(X[50:90]))).any()


def test_no_forgotten_row_stays_in_the_samples(tmp_path):
    """Nor do rows come into them that were added later, where earlier ones, not kept, had lesser hashes."""
    whole = made(npz(tmp_path), kept=2, held=0.0)
    hashes = row_hashes(whole.recipe.space.encode(X))
    order = np.argsort(hashes)
    first, later = order[: N // 2], order[N // 2 :]

    def of(rows, name):
        return shards_of([npz(tmp_path, X[rows], Y[rows], name)])[0]

    total = collect(whole.recipe, of(first, "first"))
    least = total.starts.hashes
    total = total - forgettable(total, of(first[np.isin(hashes[first], least[:3])], "a"))
    total = total + collect(whole.recipe, of(later, "b"))
    assert len(total.starts.hashes) == 3 and not np.isin(total.starts.hashes, hashes[later]).any()
    some = np.concatenate([first[np.isin(hashes[first], total.starts.hashes[1:])], later])
    total = total - forgettable(total, of(some, "c"))
    assert len(total.starts.hashes) == 1 and not np.isin(total.starts.hashes, hashes[some]).any()
    assert total.count == N // 2 - 5


def test_one_row_that_was_forgotten_does_not_hide_that_all_others_come_twice(tmp_path):
    whole = made(npz(tmp_path), kept=20)
    left = whole - forgettable(whole, shards_of([npz(tmp_path, X[:9], Y[:9], "few")])[0])
    save(left, tmp_path / "left")
    assert load(tmp_path / "left").starts.cuts == left.starts.cuts != {}
    assert load(tmp_path / "left").starts.shared(whole.starts) > 0.8


def test_a_forgotten_shard_may_be_added_again(tmp_path):
    whole = made(npz(tmp_path))
    more = shards_of([npz(tmp_path, X[:40] + 1, Y[:40], "more")])[0]
    both = whole + collect(whole.recipe, more)
    again = both - forgettable(both, more)
    assert again.train.shards == whole.train.shards and again.held.shards == whole.held.shards
    assert_same(again + collect(whole.recipe, more), both)


def test_rows_that_were_never_added_are_not_forgotten(tmp_path):
    whole = made(npz(tmp_path))
    strange = npz(tmp_path, 5 + 9 * X[:9], Y[:9], "strange")
    with pytest.raises(InputError, match="never added"):
        whole - forgettable(whole, shards_of([strange])[0])


def test_a_column_of_digits_and_later_of_letters_is_text(tmp_path):
    codes = np.where(np.arange(6000) < 5000, (np.arange(6000) % 5).astype(str), "A")
    table = pd.DataFrame({"code": codes, "a": DRAW.normal(size=6000), "class": np.arange(6000) % 2})
    table.to_csv(tmp_path / "codes.csv", index=False)
    shards = shards_of([tmp_path / "codes.csv"], "class")
    recipe = survey(shards, MAP, target="class")
    assert recipe.source.row == (7,)  # six codes and a number
    assert collect_all(recipe, shards).count == 6000


def test_classes_of_digits_and_later_of_letters_are_text(tmp_path):
    classes = np.where(np.arange(600) < 500, (np.arange(600) % 2).astype(str), "x")
    pd.DataFrame({"a": DRAW.normal(size=600), "class": classes}).to_csv(tmp_path / "t.csv", index=False)
    shards = shards_of([tmp_path / "t.csv"], "class", rows=100)
    assert len(shards) == 6
    recipe = survey(shards, MAP, target="class")
    assert recipe.source.labels.classes.tolist() == ["0", "1", "x"]
    collected = collect_all(recipe, shards)
    assert collected.train.counts.sum() + collected.held.counts.sum() == 600


def test_an_interrupted_pass_goes_on_where_it_stopped(tmp_path, monkeypatch):
    shards = shards_of([npz(tmp_path)], rows=90)
    recipe = survey(shards, MAP)
    calls = []

    def stopping(recipe, shard, **settings):
        calls.append(shard.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return collect(recipe, shard, **settings)

    monkeypatch.setattr("datastill.moments.passing.collect", stopping)
    with pytest.raises(KeyboardInterrupt):
        collect_all(recipe, shards, tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 2
    rows = []
    found = collect_all(recipe, shards, tmp_path / "parts", rows.append)
    assert calls == [shard.name for shard in (*shards[:3], *shards[2:])]
    assert sum(rows) == N
    assert len(list((tmp_path / "parts").iterdir())) == len(shards)
    assert_same(found, collect_all(recipe, shards))
    assert len(found.train.shards) == len(shards)


def test_a_damaged_part_is_made_again_and_those_of_other_settings_are_not_taken(tmp_path):
    shards = shards_of([npz(tmp_path)], rows=90)
    recipe = survey(shards, MAP)
    file = collect_to(recipe, shards[0], tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    assert load(collect_to(recipe, shards[0], tmp_path)).count == len(shards[0].labels())
    for other in (replace(recipe, held=0.2), survey(shards, RandomDense(7, seed=1)), replace(recipe, kept=3)):
        assert part_file(other, shards[0], tmp_path) != file


def test_a_shard_that_changes_meanwhile_is_told(tmp_path):
    paths = [npz(tmp_path, X[i::2], Y[i::2], str(i)) for i in range(2)]
    shards = shards_of(paths)
    recipe = survey(shards, MAP)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"1 of 2 shards .*1\.npz") as caught:
        collect_all(recipe, shards, tmp_path / "parts")
    assert "\n" not in str(caught.value)
    paths[1].write_bytes(content)
    assert collect_all(recipe, shards, tmp_path / "parts").count == N


def test_classes_in_some_shards_only(tmp_path):
    order = np.argsort(Y, kind="stable")
    found = made(npz(tmp_path, X[order], Y[order]), 40)
    assert (found.train.counts + found.held.counts).tolist() == np.bincount(Y).tolist()


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak(rows):
        shards = shards_of([npz(tmp_path, np.tile(X, (rows // N, 1)), np.tile(Y, rows // N), str(rows))], rows=10**9)
        recipe = survey(shards, MAP)
        tracemalloc.start()
        collect(recipe, shards[0], memory=2**20)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(N)
    assert peak(200 * N) < 1.5 * peak(40 * N)


# Files


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("map", [MAP, RandomFourier(3) + 2.0 * MAP], ids=["one", "sum"])
def test_what_is_saved_is_the_same(map, by_class, tmp_path):
    found = made(npz(tmp_path), map=map, by_class=by_class)
    save(found, tmp_path / "new" / "m.safetensors")
    again = load(tmp_path / "new" / "m.safetensors")
    assert_same(again, found, 0)
    assert again.recipe.source.digests == found.recipe.source.digests
    assert again.recipe.source.map == found.recipe.source.map
    assert (again - found).count == 0
    assert again.digest == found.digest
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.safetensors"]
    assert is_moments(tmp_path / "new" / "m.safetensors") and is_moments(tmp_path / "new" / "m")
    assert load(tmp_path / "new" / "m").digest == found.digest
    assert not is_moments("digits")
    whole = (tmp_path / "new" / "m.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:1000])
    assert is_moments(tmp_path / "short.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "short.safetensors")
    assert not is_moments(tmp_path / "data.npz")


def test_a_dictionary_is_brought_along(tmp_path):
    images = DRAW.normal(size=(30, 8, 8)).astype(np.float32)
    found = made(npz(tmp_path, images, Y[:30]), map=PatchConv(4, size=3))
    save(found, tmp_path / "m.safetensors")
    map = load(tmp_path / "m.safetensors").recipe.source.map
    np.testing.assert_array_equal(map(images), found.recipe.source.map(images))
    save_recipe(found.recipe, tmp_path / "r.safetensors")
    recipe = load_recipe(tmp_path / "r.safetensors")
    assert recipe.source.digests == found.recipe.source.digests
    assert replace(recipe, source=found.recipe.source) == found.recipe or recipe.kept == found.recipe.kept


def test_the_manifest_says_what_the_moments_are(tmp_path):
    found = made(npz(tmp_path))
    save(found, tmp_path / "m.safetensors")
    written = json.loads(archive.read_tensors(tmp_path / "m.safetensors")[1])
    assert written.items() >= manifest(found).items()
    assert np.add(written["counts"]["train"], written["counts"]["held"]).tolist() == np.bincount(Y).tolist()
    assert written["rows"] == N
    assert "seed=0" in written["map"]


def damage(path, how):
    content = path.read_bytes()
    tensors, header = archive.read_tensors(path)
    if how == "truncated":
        path.write_bytes(content[:-9])
    elif how == "header":
        path.write_bytes(content[:40])
    elif how == "absent":
        path.unlink()
    elif how == "foreign":
        archive.write_tensors(path, tensors)
    elif how == "newer":
        archive.write_tensors(path, tensors, header.replace("moments/1", "moments/2"))
    elif how == "incomplete":
        archive.write_tensors(path, {name: a for name, a in tensors.items() if name != "held.cross"}, header)
    elif how == "other map":
        archive.write_tensors(path, tensors, header.replace('"width": 7', '"width": 8'))
    elif how == "unknown map":
        archive.write_tensors(path, tensors, header.replace('"RandomDense"', '"Quantum"'))
    elif how == "other rows":
        archive.write_tensors(path, tensors | {"starts.z": tensors["starts.z"][:, :2]}, header)
    else:
        archive.write_tensors(path, tensors | {"train.first": tensors["train.first"] * np.nan}, header)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "cannot be read"),
        ("header", "cannot be read"),
        ("absent", "cannot be read"),
        ("foreign", "not a file of the schema"),
        ("newer", "try upgrading"),
        ("incomplete", "damaged"),
        ("other map", "do not belong together"),
        ("unknown map", "cannot be rebuilt"),
        ("other rows", "do not belong together"),
        ("not finite", "do not belong together"),
    ],
)
def test_damaged_files_are_refused(how, message, tmp_path):
    path = tmp_path / "m.safetensors"
    save(made(npz(tmp_path)), path)
    damage(path, how)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Could not write"):
        save(made(npz(tmp_path / "d")), tmp_path / "file" / "m.safetensors")


# Drift


def test_drift_is_one_without_any_and_large_with_some(tmp_path):
    found = made(npz(tmp_path), map=RandomFourier(50))

    def of(x, y=Y):
        return collect(found.recipe, shards_of([npz(tmp_path, x, y, "other")])[0]).train

    ratios, ps = [], []
    for seed in range(40):
        draw = np.random.default_rng(100 + seed)
        y = draw.integers(0, 3, N)
        d = drift(found.train, of((draw.normal(size=(N, 4)) + y[:, None]).astype(np.float32), y))
        ratios.append(d.ratio)
        ps.append(d.p)
    assert np.mean(ratios) == pytest.approx(1, abs=0.3)
    assert np.mean(np.array(ps) < 0.1) < 0.3
    far = drift(found.train, of(X + 1))
    assert far.ratio > 5
    assert far.p < 1e-3
    fewer = drift(found.train, of(X[Y > 0], Y[Y > 0]))
    assert fewer.classes == pytest.approx(np.mean(Y == 0), abs=0.05)
    phi = np.asarray(found.recipe.source.map(found.recipe.space.encode(X)), np.float64)
    same = held_out(row_hashes(found.recipe.space.encode(X)), 0.1)
    direct = np.linalg.norm(phi[~same].mean(axis=0) - phi[same].mean(axis=0))
    assert drift(found.train, found.held).mmd == pytest.approx(direct, rel=1e-3)


# Refusals


def change(folder, **settings):
    """A pass over half of the rows, with other settings."""
    return made(npz(folder, X[:200], Y[:200], "half"), **settings)


@pytest.mark.parametrize(
    ("act", "messages"),
    [
        (lambda a, f: a + change(f, map=RandomDense(7, seed=1)), ("seed=0", "seed=1")),
        (lambda a, f: a + change(f, preprocess="none"), ("preprocessing",)),
        (lambda a, f: a + change(f, recipe=replace(a.recipe, held=0.2)), ("held=0.1", "held=0.2")),
        (lambda a, f: a + change(f, recipe=replace(a.recipe, by_class=True)), ("by_class",)),
        (lambda a, f: a + a, ("both",)),
        (lambda a, f: change(f, held=0.9), ("held=0.9",)),
        (lambda a, f: change(f, kept=-1), ("kept=-1",)),
        (lambda a, f: change(f, task="regression", by_class=True), ("by_class",)),
        (lambda a, f: change(f, augment="flip"), ("expected images",)),
        (lambda a, f: made(npz(f, X, np.zeros(N, int), "one")), ("1 class",)),
        (lambda a, f: made(npz(f, X, np.where(Y == 0, np.nan, Y), "nan")), ("missing",)),
        (lambda a, f: made(npz(f, np.where(X > 2, np.nan, X), Y, "holes")), ("NaN",)),
        (lambda a, f: made(npz(f, X[:, :3], Y, "thin"), recipe=a.recipe), ("(3,)", "(4,)")),
        (lambda a, f: made(npz(f, X, Y + 1, "more"), recipe=a.recipe), ("3", "does not have")),
        (lambda a, f: drift(a.train, (a - a).train), ("0 rows",)),
    ],
)
def test_bad_input_is_refused_in_one_line(act, messages, tmp_path):
    whole = made(npz(tmp_path))
    with pytest.raises(InputError) as caught:
        act(whole, tmp_path)
    for message in messages:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(whole, Collected)


@pytest.mark.parametrize("held", [0.0, 0.5])
def test_whitened_images_are_passed_over_in_batches_of_one_side(held, tmp_path):
    images = DRAW.normal(size=(30, 4, 4)).astype(np.float32)
    path = npz(tmp_path, images, Y[:30])
    shards = shards_of([path], rows=1)
    found = collect_all(survey(shards, MAP, preprocess="zca", held=held), shards)
    assert found.count == 30
    whole = made(path, recipe=found.recipe)
    np.testing.assert_allclose(found.train.second, whole.train.second, atol=1e-4)


def test_sums_of_squares_that_overflow_are_told():
    labels = survey(shards_of(["iris"]), MAP).source.labels
    large = np.full((9, 4), 1e25, np.float32)
    assert np.isfinite(np.asarray(RandomDense(8)(large))).all()
    with pytest.raises(InputError, match=r"not finite.*standardising"):
        moments_of(RandomDense(8), [(large, np.zeros(9, int))], labels)


def test_targets_are_standardised_by_all_rows_however_they_are_cut(tmp_path):
    for y in (X[:, 0] * 3 + 1e3, X[:, :2], np.arange(N), np.full(N, 0.1)):
        expected = TargetScaler.fit(y)
        for rows in (7, 150, N):
            found = survey(shards_of([npz(tmp_path, X, y)], rows=rows), MAP, task="regression").source.labels
            np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
            np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-9)
            assert found.flat == expected.flat


def test_the_memory_of_a_survey_does_not_grow_with_the_rows(tmp_path):
    peaks = []
    for n in (50_000, 800_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        np.save(folder / "X.npy", np.zeros((n, 1), np.float32) + np.arange(n, dtype=np.float32)[:, None])
        np.save(folder / "y.npy", np.arange(n) / 3)
        shards = shards_of([folder], rows=25_000)
        tracemalloc.start()
        assert survey(shards, MAP).source.task == "regression"
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 8 * 100_000  # the labels alone are 8 · 750,000 bytes more
