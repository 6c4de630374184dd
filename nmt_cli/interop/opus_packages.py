"""Packages of OPUS-MT (Tiedemann & Thottingal 2020): archives, and scripts, which are read but never run."""

import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from nmt_cli.errors import ModelError
from nmt_cli.interop.marian_files import read_yaml
from nmt_cli.text.normalization import OPUS_REPLACEMENTS

_MAX_FILES, _MAX_EXPANSION, _ALWAYS_ALLOWED_BYTES = 1000, 100, 2**20
"""An archive may have this many files, which may expand to this many times its size plus 1 MiB."""
_MAX_SCRIPT_SIZE, _MAX_RELEASE_SIZE = 2**16, 2**20

_PREPROCESS, _POSTPROCESS = "preprocess.sh", "postprocess.sh"
_STEPS = {
    "signs": r"\$\{TOKENIZER\}/replace-unicode-punctuation\.perl",
    "controls": r"\$\{TOKENIZER\}/remove-non-printing-char\.perl|perl -C -pe  ?'s/(\(\?!\\n\))?\\p\{C\}/ /g;'",
    "no_op": r"perl -CIOE -pe 's/\[\\x\{2060\}\\x\{200B\}\\x\{feff\}\]//g'",  # the step before left none of them
    "spaces": r"sed 's/ +\*/ /g;s/\^ \*//g;s/ \*\$//g'",
    "sentencepiece": r"\$\{SPMENCODE\} --model \$[23]",
    "language": r'sed "s/\^/>>\$2<< /"',
}
"""Commands of the scripts, by what they do. `signs` is also a sed with all of OPUS_REPLACEMENTS."""
_NEEDED = ("signs", "controls", "spaces", "sentencepiece")
_IGNORED = re.compile(r"\s*(#.*|[A-Z]+=.*|(if|elif) \[.*; then|else|fi|)\s*")
_SUBSTITUTION = re.compile(r"""-e ['"]s/([^/]+)/((?:\\.|[^/])*)/g['"]""")
_JOINING = r"sed 's/ //g;s/▁/ /g;s/\^ \*//g?'"


def normalization_of(folder: Path) -> str:
    """Return the normalisation of nmt that does what the scripts in a folder do to text around SentencePiece.

    Raises:
        ModelError: A script has a step that nmt does not know, or lacks one.
    """
    postprocess = folder / _POSTPROCESS
    if postprocess.is_file() and not re.fullmatch(_JOINING, " ".join(_commands(postprocess))):
        raise ModelError(f"{postprocess}: does more than join subwords; {_advice(postprocess)}")
    preprocess = folder / _PREPROCESS
    if not preprocess.is_file():
        return "none"
    found = {_step(preprocess, command) for command in _commands(preprocess)}
    if missing := [name for name in _NEEDED if name not in found]:
        raise ModelError(
            f"{preprocess}: lacks the usual steps of OPUS-MT ({', '.join(missing)}); {_advice(preprocess)}"
        )
    return "opus"


def languages_of(folder: Path) -> tuple[str | None, str | None]:
    """Return the source and the target language that a release of OPUS-MT names, each None if there are several."""
    for path in sorted(folder.glob("*.yml")):
        is_other = "vocab" in path.name or "decoder" in path.name
        if is_other or not path.is_file() or path.stat().st_size > _MAX_RELEASE_SIZE:
            continue
        try:
            options = read_yaml(path.read_bytes(), str(path))
        except ModelError:  # a file of some other program
            continue
        if "source-languages" in options and "target-languages" in options:
            source, target = (options[f"{side}-languages"].split("\n") for side in ("source", "target"))
            return source[0] if len(source) == 1 else None, target[0] if len(target) == 1 else None
    return None, None


def _advice(path: Path) -> str:
    return f"nmt does not run scripts: remove {path.name} if lines are to be translated without it"


def _commands(path: Path) -> list[str]:
    """Return the commands of a script's pipelines."""
    if path.stat().st_size > _MAX_SCRIPT_SIZE:
        raise ModelError(f"{path}: is too large to be a script of OPUS-MT; {_advice(path)}")
    text = path.read_text("utf-8", errors="replace")
    lines = [line for line in text.split("\n") if not _IGNORED.fullmatch(line)]
    joined = "\n".join(lines).replace("|\\\n", "|").replace("\\\n", " ")
    return [command.strip() for command in re.split(r"[|\n]", joined) if command.strip()]


def _step(path: Path, command: str) -> str:
    if substitutions := _SUBSTITUTION.findall(command):
        found = {pattern: re.sub(r"\\(.)", r"\1", replacement) for pattern, replacement in substitutions}
        if found == OPUS_REPLACEMENTS and not _SUBSTITUTION.sub("", command).removeprefix("sed").strip():
            return "signs"
    for name, pattern in _STEPS.items():
        if re.fullmatch(pattern, command):
            return name
    raise ModelError(f"{path}: the step {command[:80]!r} is not known; {_advice(path)}")


def extract(archive: Path, folder: Path) -> Path:
    """Extract a zip archive into an empty folder; return the folder in it that has the files.

    Raises:
        ModelError: It is damaged, has links, encrypted files or names outside it, or expands to far more than its
            size.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [each for each in opened.infolist() if not each.is_dir()]
            size = sum(each.file_size for each in members)
            if len(members) > _MAX_FILES or size > _MAX_EXPANSION * archive.stat().st_size + _ALWAYS_ALLOWED_BYTES:
                raise ModelError(
                    f"{archive}: expands to {len(members):,} files of {size:,} bytes: too much for a model"
                )
            for member in members:
                path = folder / _safe_name(archive, member)
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{archive}: is not a valid zip archive: {error}") from error
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _safe_name(archive: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    name, kind = PurePosixPath(member.filename), stat.S_IFMT(member.external_attr >> 16)
    is_outside = name.is_absolute() or ".." in name.parts or PureWindowsPath(member.filename).anchor or not name.parts
    if is_outside or "\\" in member.filename or kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
        raise ModelError(
            f"{archive}: {member.filename!r} is a link, encrypted, or outside the archive; it is not extracted"
        )
    return name
