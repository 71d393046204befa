# The server in a small image, as a user without rights. Needs settings: TOWER_AUTH at least, as it
# listens on every address of the container.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/tower
COPY constraints.txt pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY agents agents
COPY control_tower control_tower
COPY events events
COPY server server
COPY static static
RUN /opt/tower/bin/pip install --no-cache-dir --constraint constraints.txt ".[llm,postgres]"

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home tower \
    && install --directory --owner tower --mode 0700 /data
COPY --from=build /opt/tower /opt/tower
ENV PATH=/opt/tower/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TOWER_HOST=0.0.0.0 \
    TOWER_PORT=8000 \
    TOWER_DATA_DIR=/data \
    TOWER_LOG_FORMAT=json
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tower"]
CMD ["serve"]
