"""Score translations by a COMET model; a program for any environment with unbabel-comet, so it imports nothing of ours.

    python comet_program.py MODEL.ckpt BATCH_SIZE GPUS SOURCE HYPOTHESIS REFERENCE...

The files have a sentence per line. Prints a JSON list with the mean score over the references of each sentence.
"""

import contextlib
import json
import sys


def main() -> None:
    """Score the files that the arguments name, and print the scores."""
    checkpoint, batch_size, gpus, *files = sys.argv[1:]
    source, hypothesis, *references = map(read, files)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for the scores
        try:
            from comet import load_from_checkpoint
        except ImportError as error:
            sys.exit(f"the package unbabel-comet cannot be imported: {error}")
        try:
            model = load_from_checkpoint(checkpoint, local_files_only=True)
        except Exception as error:  # of torch, lightning, transformers or huggingface_hub
            reason = str(error).strip().split("\n")[0][:100]
            sys.exit(
                f"the model cannot be loaded: {type(error).__name__}: {reason}; the encoder that hparams.yaml names as"
                " pretrained_model must be in the cache of Hugging Face"
            )
        sums = [0.0] * len(hypothesis)
        for reference in references:
            lines = zip(source, hypothesis, reference)  # noqa: B905 # Python 3.9 has no `strict`
            samples = [{"src": src, "mt": mt, "ref": ref} for src, mt, ref in lines]
            scores = model.predict(samples, batch_size=int(batch_size), gpus=int(gpus), progress_bar=False).scores
            sums = [total + float(score) for total, score in zip(sums, scores)]  # noqa: B905
    print(json.dumps([total / len(references) for total in sums]))


def read(path: str) -> list[str]:
    """Return the lines of a file."""
    with open(path, encoding="utf-8", newline="\n") as file:  # noqa: PTH123
        return file.read().split("\n")[:-1]


if __name__ == "__main__":
    main()
