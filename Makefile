# Every target sets itself up: the first run makes .venv from constraints.txt, later runs find it ready.
.PHONY: course demo test bench lint notebooks clean

READY := .venv/.ready
RUN := .venv/bin/python

course: $(READY)
	$(RUN) -m sepnb.cli course

demo: $(READY)
	$(RUN) -m sepnb.cli demo

# Two processes, a file of tests at a time, with one thread each: networks of two threads would wait for each other.
test: $(READY)
	sh tools/debian_packages.sh chromium
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(READY)
	sh tools/debian_packages.sh ffmpeg
	$(RUN) -m benchmarks

lint: $(READY)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .

# Badges, links and setup cells follow the Repository URL in pyproject.toml.
notebooks: $(READY)
	$(RUN) tools/notebook_frames.py

$(READY): pyproject.toml constraints.txt tools/setup.sh tools/torchaudio_on_cpu.py
	sh tools/setup.sh

clean:
	rm -rf .venv build
