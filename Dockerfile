# orderflow as one static program on Alpine, for jobs of CI and as a base of your own image.
ARG BUILD=docker.io/library/rust:1-alpine
ARG BASE=docker.io/library/alpine:3

FROM $BUILD AS build
RUN apk add --no-cache build-base
COPY . /src
RUN cargo install --locked --path /src --root /out

FROM $BASE
RUN mkdir -p /work /home/orderflow && chown 10001 /work /home/orderflow
COPY --from=build /out/bin/orderflow /usr/local/bin/orderflow
ENV HOME=/home/orderflow
USER 10001
WORKDIR /work
ENTRYPOINT ["orderflow"]
CMD ["--help"]
