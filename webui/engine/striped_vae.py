"""The VAE in strips: the same picture as in one piece, to rounding, in a fraction of the memory.

The usual remedy for a large picture is to decode overlapping tiles and to blend them. But a tile is not the same part of the
picture: group norm takes its mean and variance from all of what it sees, so each tile comes out with a tone and a contrast
of its own, and attention does not see the rest. Here every layer is finished before the next begins, and only within a layer
the work is cut, into strips of whole rows: group norm first gathers its statistics over all strips, convolutions read a row
more at either side, and attention asks for some places at a time about all of them. So nothing is approximated and there is
nothing to blend.

What must be kept whole are the states between two layers: two pictures' worth where an ordinary run holds six. ``keep_on``
puts those too into main memory, so that the device needs room for a few strips only.

Written for diffusers' ``AutoencoderKL``, whose layers it runs; N = 1, that is, one picture at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

STRIP_BYTES = 64_000_000  # of the layer's input; a strip takes about four times that on the way

Rows = Callable[[int, int], Tensor]
"""Rows first ... last - 1 of a state (1, channels, height, width), on the device that computes."""


@dataclass(frozen=True)
class Strips:
    """How to cut the work. ``wrap`` says whether left and right, top and bottom are neighbours (seamless tiles)."""

    strip_bytes: int = STRIP_BYTES
    keep_on: torch.device | None = None
    wrap: tuple[bool, bool] = (False, False)

    def decode(self, vae: AutoencoderKL, latents: Tensor) -> Tensor:
        """Unscaled latents (1, 4, h, w) in the VAE's precision to pixels (1, 3, 8h, 8w), where the states are kept."""
        if vae.post_quant_conv is not None:
            latents = vae.post_quant_conv(latents)
        decoder: Any = vae.decoder
        state = self._convolve(decoder.conv_in, self._kept(latents))
        state = self._middle(decoder.mid_block, state)
        for block in decoder.up_blocks:
            for resnet in block.resnets:
                state = self._resnet(resnet, state)
            for upsampler in block.upsamplers or ():
                state = self._upsample(upsampler.conv, state)
        return self._last(decoder, state)

    def encode(self, vae: AutoencoderKL, pixels: Tensor) -> Tensor:
        """Pixels (1, 3, h, w) in -1 ... 1 to the posterior's moments (1, 8, h/8, w/8): means, then log variances."""
        encoder: Any = vae.encoder
        state = self._convolve(encoder.conv_in, self._kept(pixels))
        for block in encoder.down_blocks:
            for resnet in block.resnets:
                state = self._resnet(resnet, state)
            for downsampler in block.downsamplers or ():
                state = self._convolve(downsampler.conv, state, pad=(0, 1))
        state = self._middle(encoder.mid_block, state)
        moments: Tensor = self._last(encoder, state)
        if vae.quant_conv is not None:
            moments = vae.quant_conv(moments.to(pixels.device))
        return moments

    def _middle(self, block: Any, state: Tensor) -> Tensor:
        state = self._resnet(block.resnets[0], state)
        for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
            if attention is not None:
                state = self._attend(attention, state)
            state = self._resnet(resnet, state)
        return state

    def _last(self, network: Any, state: Tensor) -> Tensor:
        normed = self._normed(network.conv_norm_out, state, network.conv_out)
        return self._convolve(network.conv_out, state, normed)

    def _resnet(self, resnet: Any, state: Tensor) -> Tensor:
        """x + conv2(silu(norm2(conv1(silu(norm1(x)))))); the sum takes the place of x, which nothing else reads by then."""
        inner = self._convolve(resnet.conv1, state, self._normed(resnet.norm1, state, resnet.conv1))
        rows, height = self._normed(resnet.norm2, inner, resnet.conv2), inner.shape[2]
        result = state if inner.shape[1] <= state.shape[1] else torch.empty_like(inner)
        result = result[:, : inner.shape[1]]
        for first, last in self._strips(inner):
            before = self._moved(state[:, :, first:last], resnet.conv2)
            shortcut = before if resnet.conv_shortcut is None else resnet.conv_shortcut(before)
            added = self._convolved(resnet.conv2, rows, height, first, last)
            result[:, :, first:last] = (shortcut + added) / resnet.output_scale_factor
        return result

    def _attend(self, attention: Any, state: Tensor) -> Tensor:
        """Every place looks at every place, some places asking at a time; the states here are small (h/8 x w/8)."""
        height, width = state.shape[2:]
        everything = self._moved(state, attention.to_q)
        tokens = everything.flatten(2)
        tokens = (attention.group_norm(tokens) if attention.group_norm is not None else tokens).transpose(1, 2)
        key, value = (self._heads(attention, project(tokens)) for project in (attention.to_k, attention.to_v))
        result = torch.empty_like(tokens)
        count = max(1, self.strip_bytes // (4 * tokens.shape[1]))
        for first in range(0, tokens.shape[1], count):
            query = self._heads(attention, attention.to_q(tokens[:, first : first + count]))
            seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
            result[:, first : first + count] = attention.to_out[0](seen)
        added = result.transpose(1, 2).unflatten(2, (height, width))
        if attention.residual_connection:
            added = added + everything
        return self._kept(added / attention.rescale_output_factor)

    @staticmethod
    def _heads(attention: Any, tokens: Tensor) -> Tensor:
        heads: Tensor = tokens.unflatten(2, (attention.heads, -1)).transpose(1, 2)
        return heads

    def _upsample(self, conv: nn.Conv2d, state: Tensor) -> Tensor:
        def doubled(first: int, last: int) -> Tensor:
            small = self._moved(state[:, :, first // 2 : -(-last // 2)], conv)
            large = functional.interpolate(small, scale_factor=2.0, mode="nearest")
            return large[:, :, first % 2 : first % 2 + last - first]

        return self._convolve(conv, state, doubled, size=(2 * state.shape[2], 2 * state.shape[3]))

    def _convolve(
        self,
        conv: nn.Conv2d,
        state: Tensor,
        rows: Rows | None = None,
        *,
        size: tuple[int, int] | None = None,
        pad: tuple[int, int] | None = None,
    ) -> Tensor:
        """The convolution of all rows. ``rows`` gives those of ``state`` or of what becomes of it, ``size`` large."""
        height, width = size or (state.shape[2], state.shape[3])
        padded = sum(pad) if pad is not None else 2 * _pair(conv.padding)[0]
        out = [(side + padded - _pair(conv.kernel_size)[0]) // _pair(conv.stride)[0] + 1 for side in (height, width)]
        result = torch.empty(1, conv.out_channels, *out, dtype=state.dtype, device=state.device)
        rows = rows or (lambda first, last: self._moved(state[:, :, first:last], conv))
        for first, last in self._strips(result, conv.in_channels):
            result[:, :, first:last] = self._convolved(conv, rows, height, first, last, pad)
        return result

    def _convolved(
        self, conv: nn.Conv2d, rows: Rows, height: int, first: int, last: int, pad: tuple[int, int] | None = None
    ) -> Tensor:
        """Rows ``first`` ... ``last`` - 1 of a convolution over ``height`` rows. ``pad`` goes before and behind, both ways."""
        stride, reach = _pair(conv.stride)[0], _pair(conv.kernel_size)[0]
        before, behind = pad if pad is not None else (_pair(conv.padding)[0],) * 2
        begin, end = first * stride - before, (last - 1) * stride + reach - before
        wrap_x, wrap_y = self.wrap if pad is None else (False, False)
        state = rows(max(begin, 0), min(end, height))
        if wrap_y and (begin < 0 or end > height):
            above = [rows(height + begin, height)] if begin < 0 else []
            below = [rows(0, end - height)] if end > height else []
            state = torch.cat([*above, state, *below], dim=2)
        else:
            state = functional.pad(state, (0, 0, max(-begin, 0), max(end - height, 0)))
        state = functional.pad(state, (before, behind, 0, 0), mode="circular" if wrap_x else "constant")
        return functional.conv2d(state, conv.weight, conv.bias, stride=stride)

    def _normed(self, norm: nn.GroupNorm, state: Tensor, layer: nn.Module) -> Rows:
        """silu(group norm), its mean and variance those of all rows. ``layer`` tells the device."""
        count, mean, spread = 0, torch.zeros(()), torch.zeros(())
        for first, last in self._strips(state):
            part = self._moved(state[:, :, first:last], layer).reshape(norm.num_groups, -1).float()
            variance, its_mean = torch.var_mean(part, dim=1, correction=0)
            if not count:
                mean, spread = torch.zeros_like(its_mean), torch.zeros_like(its_mean)
            # Chan, Golub and LeVeque: the moments of a union from those of its parts
            apart, total = its_mean - mean, count + part.shape[1]
            spread = spread + variance * part.shape[1] + apart**2 * (count * (part.shape[1] / total))
            mean = mean + apart * (part.shape[1] / total)
            count = total
        scale = torch.rsqrt(spread / count + norm.eps).repeat_interleave(norm.num_channels // norm.num_groups)
        shift = -mean.repeat_interleave(norm.num_channels // norm.num_groups) * scale
        if norm.affine:
            scale, shift = scale * norm.weight.float(), shift * norm.weight.float() + norm.bias.float()
        scale, shift = scale[None, :, None, None], shift[None, :, None, None]

        def rows(first: int, last: int) -> Tensor:
            part = self._moved(state[:, :, first:last], layer).float()
            return functional.silu(torch.addcmul(shift, part, scale)).to(state.dtype)

        return rows

    def _strips(self, state: Tensor, channels: int = 0) -> Iterator[tuple[int, int]]:
        """Which rows to work on together; ``channels`` if what is read has more of them than ``state``."""
        row = max(state.shape[1], channels) * state.shape[3] * state.element_size()
        count = max(1, self.strip_bytes // row)
        height = state.shape[2]
        return ((first, min(first + count, height)) for first in range(0, height, count))

    def _kept(self, state: Tensor) -> Tensor:
        return state if self.keep_on is None else state.to(self.keep_on)

    @staticmethod
    def _moved(state: Tensor, layer: nn.Module) -> Tensor:
        return state.to(next(layer.parameters()).device)


def _pair(value: Any) -> tuple[int, int]:
    """A convolution's size in both directions; those of the VAE are the same both ways."""
    return value if isinstance(value, tuple) else (value, value)
