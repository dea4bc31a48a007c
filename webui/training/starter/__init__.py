"""How the models that ship with Lucid are made: ``python -m webui.training.starter``.

The whole way of a latent diffusion model at a size that two CPU cores can train, in the order of the work:

    icons.py         fetch openly licensed icon sets, check their licences, render them
    vocabulary.py    the words that the model learns
    compose.py       pictures with captions: an object in a style, a colour, a size, at a place, on a ground
    networks.py      the architecture of Stable Diffusion 1.x, made small, and how its weights start
    autoencoder.py   pictures <-> latents (the VAE)
    latents.py       the composed pictures, encoded once and kept
    text_model.py    words -> embeddings, trained alone first
    diffusion.py     the noise predictor with its text model
    evaluation.py    what the result can do, in numbers
"""
