# rag-app on a CPU, models included; nothing is fetched when it runs. How to use it, and what of
# this file was verified: docs/howto/docker.md.

# Of the same Python as constraints.txt. The first stage holds pip, sources and caches.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY data/en data/en
COPY data/ko data/ko
COPY rag_app rag_app
# The CPU's torch: PyPI's brings CUDA along, which is larger than all else together.
RUN python -m venv /opt/rag-app \
    && /opt/rag-app/bin/python -m pip install --no-cache-dir --constraint constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu \
        '.[local-llm,multilingual,korean,office,hwp,serve,mcp]'

FROM python:3.11-slim-bookworm
# OpenMP, for xllamacpp; its version is the distribution's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 rag \
    && mkdir /work \
    && chown rag:rag /work
COPY --from=build /opt/rag-app /opt/rag-app
ENV PATH=/opt/rag-app/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# Storage is /work/storage; mount a volume here, or all is gone with the container.
WORKDIR /work
VOLUME /work
EXPOSE 8000
# 503 where nothing is in service yet.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=8)"]
ENTRYPOINT ["rag-app"]
# An address that others reach needs a token: RAG_APP_TOKEN.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
