"""The web demo for a hosted Gradio space.

A space needs this file, a README.md whose header says `sdk: gradio`, `sdk_version: 6.31.0` (any 6) and
`app_file: app.py`, and a requirements.txt with one line: `sepnb[demo] @ git+` and the repository's address. The free
CPU hardware will do: `band-unet`, the model in the package, separates a minute of music in seconds.
SEPNB_DEMO_MODELS names others to offer, separated by commas (`sepnb models` lists them; each is downloaded when it is
first used), SEPNB_DEMO_PASSWORD asks visitors for a password.
"""

import os

from sepnb.webdemo import build_demo

models = [name.strip() for name in os.environ.get("SEPNB_DEMO_MODELS", "band-unet").split(",") if name.strip()]
built = build_demo(
    models=models,
    host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),  # a space's container is reached from outside
    port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
    password=os.environ.get("SEPNB_DEMO_PASSWORD") or None,
)
demo = built.page

if __name__ == "__main__":
    built.launch()
