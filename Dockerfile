# The emulator as a service of its own: docker build -t podflare-emulator . && docker compose up
FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends fakechroot slirp4netns \
    && rm -rf /var/lib/apt/lists/*
COPY . /src
RUN pip install --no-cache-dir "/src[fast]" && rm -r /src && useradd --create-home podflare
USER podflare
WORKDIR /home/podflare
EXPOSE 7070
HEALTHCHECK --interval=5s --timeout=3s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7070/v1/healthz', timeout=2)"]
ENTRYPOINT ["podflare-emulator"]
CMD ["--host", "0.0.0.0"]
