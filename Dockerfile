# nmt on CPUs: docker build -t nmt . && docker run --rm -v "$PWD":/work nmt train recipe.yaml
# For NVIDIA GPUs, add --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 and run with --gpus all.
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple torch \
    && pip install --no-cache-dir -c /src/constraints.txt /src \
    && rm -rf /src

WORKDIR /work
ENTRYPOINT ["nmt"]
CMD ["--help"]
