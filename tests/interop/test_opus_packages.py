"""Archives and scripts of OPUS-MT: what they do is done, or refused by name, and nothing in them is run."""

import stat
import zipfile
from pathlib import Path

import pytest
from foreign_models import LINES, write_npz, write_opus_scripts

from nmt_cli.commands.export import export
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import source_tags
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.reporting.inspection import describe_path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    write_npz(folder, languages=("deu", "fra"))
    write_opus_scripts(folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    (folder / "a.yml").write_text("- a list\n")
    release = "release: x\nsource-languages:\n   - eng\ntarget-languages:\n   - deu\n   - fra\n"
    (folder / "opus-2020.yml").write_text(release)
    return folder


def zipped(source: Path, name: str = "opus.zip", inside: str = "") -> Path:
    path = source.parent / name
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(source.iterdir()):
            archive.write(each, inside + each.name)
    return path


@pytest.mark.parametrize("inside", ["", "opus-2020/"])
def test_archive_is_imported_with_its_normalisation_languages_and_licence(
    source: Path, inside: str, tmp_path: Path
) -> None:
    import_model(zipped(source, inside=inside), tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.tokenizer.normalization == "opus"
    assert loaded.tokenizer.normalize(" „a”，b。c…\t\u200b１ ") == '„a",b. c... "'
    assert (loaded.config.source_language, loaded.config.target_language) == ("eng", "und")
    assert (tmp_path / "model" / "source" / "README.md").is_file()
    assert not list((tmp_path / "model").rglob("*.npz"))
    assert "deu, fra" in str(describe_path(tmp_path / "model"))


def test_target_language_is_a_token_before_the_source(source: Path, tmp_path: Path) -> None:
    import_model(source, tmp_path / "model")
    loaded = load_model(tmp_path / "model")

    def tokens(language: str | None) -> list[str]:
        tags = source_tags(loaded.config, loaded.tokenizer, TranslateOptions(target_language=language))
        return [loaded.tokenizer.source.entries[i] for i in tags.ids()]

    assert tokens("fra") == [">>fra<<"]
    with pytest.raises(RecipeError, match="--target-language: is needed; this model translates into deu, fra"):
        tokens(None)
    with pytest.raises(RecipeError, match="--target-language spa: this model translates into deu, fra"):
        tokens("spa")
    # Text never becomes the token of a language.
    assert not {*loaded.tokenizer.source.tags.values()} & {*loaded.tokenizer.encode_source([">>fra<< " + LINES[0]])[0]}


def test_tokenizer_survives_export_and_import(source: Path, tmp_path: Path) -> None:
    import_model(source, tmp_path / "model")
    export(tmp_path / "model", "marian", tmp_path / "exported", languages=(None, "deu"))
    import_model(tmp_path / "exported", tmp_path / "again")
    first, second = (load_model(tmp_path / name).tokenizer for name in ("model", "again"))
    assert first.normalization == "opus"
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("preprocess.sh", "${SPMENCODE} --model $3", "rm -rf / | ${SPMENCODE} --model $3", "the step 'rm -rf /'"),
        ("preprocess.sh", "-e 's/，/,/g'", "-e 's/，/;/g'", "preprocess.sh: the step"),
        ("preprocess.sh", "-e 's/，/,/g' \\\n", "", "preprocess.sh: the step"),
        ("preprocess.sh", "sed 's/  */ /g;s/^ *//g;s/ *$//g' |", "", r"lacks the usual steps of OPUS-MT \(spaces\)"),
        ("postprocess.sh", "s/^ *//", "s/^ *//;s/a/b/", "does more than join subwords"),
    ],
)
def test_scripts_with_other_steps_are_refused(source: Path, name: str, old: str, new: str, message: str) -> None:
    text = (source / name).read_text(encoding="utf-8")
    assert old in text
    (source / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        import_model(source, source.parent / "model")


def test_older_scripts_with_those_of_moses_are_known(source: Path) -> None:
    steps = ["${TOKENIZER}/replace-unicode-punctuation.perl", "${TOKENIZER}/remove-non-printing-char.perl"]
    steps += ["sed 's/  */ /g;s/^ *//g;s/ *$//g'", "${SPMENCODE} --model $2"]
    text = (
        "MOSESSCRIPTS=${MOSESHOME}/scripts\n" + " |\n".join(steps) + "\n# ${TOKENIZER}/normalize-punctuation.perl |\n"
    )
    (source / "preprocess.sh").write_text(text, encoding="utf-8")
    import_model(source, source.parent / "model")
    assert load_model(source.parent / "model").tokenizer.normalization == "opus"
    (source / "preprocess.sh").write_text(text.replace("# ", ""), encoding="utf-8")
    with pytest.raises(ModelError, match="normalize-punctuation"):
        import_model(source, source.parent / "model")


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:\\evil", "..\\evil"])
def test_names_outside_the_archive_are_refused(source: Path, name: str) -> None:
    path = zipped(source)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), "evil")
    with pytest.raises(ModelError, match="not extracted"):
        import_model(path, source.parent / "model")
    assert not list(source.parent.rglob("*evil*"))
    assert not (source.parent / "model").exists()


def test_links_are_refused(source: Path) -> None:
    path, link = zipped(source), zipfile.ZipInfo("LICENSE")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ModelError, match="'LICENSE' is a link"):
        import_model(path, source.parent / "model")


def test_bombs_and_damaged_archives_are_refused(source: Path) -> None:
    bomb = source.parent / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.npz", bytes(2**24))
    with pytest.raises(ModelError, match="too much for a model"):
        import_model(bomb, source.parent / "model")
    path = zipped(source)
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ModelError):
        import_model(path, source.parent / "model")
