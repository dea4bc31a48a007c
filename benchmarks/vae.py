"""Decoding a large picture: whole, in strips, and in diffusers' tiles. Time, memory, and how far from the whole it is."""

from __future__ import annotations

from collections.abc import Callable

SD1_VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "sample_size": 256,
}


def peak_bytes(run: Callable[[], object]) -> int:
    """Bytes alive at once, as torch allocates them."""
    import torch

    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    alive = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            most = max(most, alive)
    return most


def large_pictures(side: int, seconds: Callable[..., float], tell: Callable[[str, float, str], None]) -> None:
    """A VAE of Stable Diffusion 1's size with random weights, in the precision of the CPU."""
    import torch
    from diffusers import AutoencoderKL

    from webui.engine.striped_vae import Strips

    torch.manual_seed(0)
    vae = AutoencoderKL.from_config(SD1_VAE).eval().requires_grad_(False)
    latents = torch.randn(1, 4, side // 8, side // 8)

    def whole() -> torch.Tensor:
        return vae.decode(latents, return_dict=False)[0]  # type: ignore[no-any-return]

    def tiles() -> torch.Tensor:
        vae.enable_tiling()
        try:
            return whole()
        finally:
            vae.disable_tiling()

    def strips() -> torch.Tensor:
        return Strips(strip_bytes=4_000_000).decode(vae, latents)

    with torch.inference_mode():
        expected = whole()
        spread = expected.std()
        bytes_whole, seconds_whole = peak_bytes(whole), min(seconds(whole) for _ in range(3))
        for name, run in (("in strips", strips), ("in diffusers' tiles", tiles)):
            off = ((run() - expected).abs().max() / spread).item()
            detail = f"{side} x {side}; off by {off:.1e} standard deviations at most"
            peak = peak_bytes(run)
            tell(
                f"memory, decoding {name} over whole",
                peak / bytes_whole,
                f"{peak / 1e6:.0f} over {bytes_whole / 1e6:.0f} MB",
            )
            tell(f"time, decoding {name} over whole", min(seconds(run) for _ in range(3)) / seconds_whole, detail)
