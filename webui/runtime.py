"""``Runtime`` owns everything that changes: settings, library, queue, workers, outputs. It connects; it does not work.

Built in ``app.py``, in the command line, and in each test; two may live in one process. It is all that front ends hold.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from webui import __version__
from webui.accounts.accounts import Accounts
from webui.domain.any_request import input_ids
from webui.domain.enlarging import KIND, EnlargeRequest
from webui.domain.events import Notice
from webui.domain.img2img_steps import check_run, part_of_run
from webui.domain.infotext_grammar import ParsedInfotext
from webui.domain.request import GenerationRequest
from webui.domain.sampler_names import find_sampler_and_schedule
from webui.domain.second_pass import second_pass
from webui.domain.sizes import Size
from webui.domain.visited_levels import visited_levels
from webui.engine.chunks import TokenCount
from webui.engine.schedulers.trained_noise import trained_noise_model, with_overrides
from webui.engine.tokenizer import ClipTokenizer
from webui.errors import InvalidRequest, ModelNotFound, UnreadablePicture
from webui.jobs import tasks
from webui.jobs.admission import Limits
from webui.jobs.chosen_pictures import choosing
from webui.jobs.database import Database
from webui.jobs.foreign_networks import with_networks_here
from webui.jobs.hires_names import named_in_full, refiner_name, tile_upscaler_name, upscaler_name
from webui.jobs.history import History
from webui.jobs.inputs import InputPictures
from webui.jobs.job import Assignment, Job
from webui.jobs.looping import looping
from webui.jobs.named_files import find_named, known_hashes, longest_text
from webui.jobs.outputs import Outputs
from webui.jobs.picture_batch import each_picture, resolved_each
from webui.jobs.pictures import read_infotext
from webui.jobs.prompt_view import SeenPrompt, see_prompts
from webui.jobs.queue import JobQueue
from webui.jobs.store import change_owner
from webui.jobs.style_book import StyleBook
from webui.jobs.worker import Run, Worker
from webui.library.cards import Card as Card
from webui.library.cards import CardQuery as CardQuery
from webui.library.cards import Cards
from webui.library.index import Library
from webui.library.model_file import ModelFile as ModelFile
from webui.library.text_files import TextFiles
from webui.settings import Settings

LOCAL_OWNER = "local"
VAE_CHOICES = ("Automatic", "None")  # before the files; see jobs/drawing.py

MODEL_FOLDERS: Mapping[str, str] = MappingProxyType(  # kind -> folder in models_dir
    {
        "checkpoint": "checkpoints",
        "vae": "vae",
        "lora": "loras",
        "embedding": "embeddings",
        "hypernetwork": "hypernetworks",
        "upscaler": "upscalers",
        "controlnet": "controlnet",
        "taesd": "taesd",
    }
)

_LAST_RANDOM_SEED = 4294967293  # A1111's


@dataclass(frozen=True)
class Readiness:
    """Whether pictures can be drawn now, and what the server is busy with if not."""

    ready: bool
    text: str


class Runtime:
    """Building it scans the model folders, LoRAs in the background; ``start`` starts a worker for each device; ``close`` parks
    what is running.

    ``adopt=False`` leaves the unfinished jobs of an earlier run alone (the command line draws only its own).
    """

    def __init__(self, settings: Settings, *, adopt: bool = True) -> None:
        self.settings = settings
        self.accounts = accounts_of(settings)
        database = settings.var_dir / "lucid.sqlite3"
        folders = model_folders(settings)
        own = [paths[0] for paths in folders.values()]  # not everybody has an upscaler
        self.library = Library(folders, settings.var_dir / "hashes.sqlite3", optional=own)
        self.outputs = Outputs(
            settings.outputs_dir,
            settings.picture_format,
            settings.picture_quality,
            settings.filename_pattern,
            settings.folder_pattern,
        )
        self.library.begin_scan()
        self.cards = Cards(self.library, settings.var_dir / "previews", settings.write_model_notes)
        self._rescue = Outputs(settings.var_dir / "rescued")
        self.inputs = InputPictures(settings.var_dir / "inputs", settings.keep_input_days * 86400)
        self.queue = JobQueue(database, adopt=adopt, limits=_limits(settings))
        self.history = History(database, self.outputs)
        self.styles = StyleBook(settings.styles_dir, settings.var_dir / "styles")
        self.wildcards = TextFiles(settings.wildcards_dir)
        self._tokenizer = ClipTokenizer()
        self._free: dict[str, Callable[[], None]] = {}  # device -> lets go of the models on it; for its worker's thread
        self._workers = tuple(Worker(device, self.queue, self._run_maker(device)) for device in settings.devices)

    def start(self) -> None:
        self.outputs.remove_leftovers(self.queue.will_draw)
        self.clean_inputs()
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Park running jobs, to be run again at the next start, and end every thread."""
        for worker in self._workers:
            worker.ask_to_close()
        for worker in self._workers:
            worker.close()
        self.cards.close()
        self.library.close()
        self.history.close()
        self.queue.close()
        self.accounts.close()

    # jobs

    def generate(self, request: GenerationRequest, owner: str = LOCAL_OWNER, kind: str = "txt2img") -> Job:
        """Check the request, give it what is still open (names in full, seeds), and put it into the queue.

        Raises ``InvalidRequest``, ``ModelNotFound`` or another ``WebUIError`` at once rather than when its turn comes.
        """
        self.inputs.check(request, owner)
        return self.queue.submit(resolved_each(request, partial(self.resolve, owner=owner)), owner, kind)

    def resolve(self, request: GenerationRequest, owner: str = LOCAL_OWNER) -> GenerationRequest:
        """The request with every name as it stands in the tables, its styles in the prompts and every random seed drawn.

        Names of styles that the owner has none of stay in it, and the job tells of them.
        """
        request = self.styles.put_into(request, owner)
        sampler, schedule = find_sampler_and_schedule(request.sampler, request.schedule)
        pixels = request.width * request.height * request.batch_size
        if pixels > self.settings.max_pixels:
            raise InvalidRequest(
                f"{request.width} x {request.height} x {request.batch_size} pictures are {pixels:,} pixels; this server "
                f"allows {self.settings.max_pixels:,} at once. Choose a smaller size or batch size.",
                "width",
            )
        if request.steps > self.settings.max_steps:
            raise InvalidRequest(
                f"This server takes up to {self.settings.max_steps} sampling steps, not {request.steps}.", "steps"
            )
        checkpoint = self.checkpoint(request.checkpoint, request.checkpoint_hash)
        layers = checkpoint.configs["text_encoder"]["num_hidden_layers"]
        if request.clip_skip > layers:
            raise InvalidRequest(
                f'Clip skip {request.clip_skip} is too much: the text encoder of "{checkpoint.name}" has {layers} layers.',
                "clip_skip",
            )
        self._visited_levels(request, checkpoint)  # refuses sigmas and ranges that cannot be run
        check_run(request, sampler)  # and a part of them that cannot be
        named = find_named(self.library, request, self._tokenizer)
        lora_hashes, ti_hashes = known_hashes(self.library, named, request)
        resolved = dataclasses.replace(
            request,
            sampler=sampler.name,
            schedule=schedule.name,
            checkpoint=checkpoint.name,
            vae=self._vae_name(request),
            refiner_checkpoint=refiner_name(self.library, request),
            sd_upscale_upscaler=tile_upscaler_name(self.library, request),
            lora_hashes=lora_hashes,
            ti_hashes=ti_hashes,
            seed=_drawn(request.seed),
            variation_seed=_drawn(request.variation_seed) if request.variation_strength else -1,
        )
        if resolved.draws_twice:
            resolved = self._with_second_pass(resolved)
        resolved.picture(resolved.picture_count - 1)  # refuses a seed so large that the last picture's is out of range
        return resolved

    def enlarge(self, request: EnlargeRequest, owner: str = LOCAL_OWNER) -> Job:
        """Check the request and put it into the queue. Errors as of ``generate``."""
        for id in request.ids:
            try:
                with Image.open(self.inputs.path(id, owner)) as picture:
                    request.target(Size(*picture.size))
            except UnreadablePicture as error:
                raise InvalidRequest(str(error), "pictures") from error
        first, second = self.upscaler_name(request.upscaler_1), self.upscaler_name(request.upscaler_2)
        return self.queue.submit(dataclasses.replace(request, upscaler_1=first, upscaler_2=second), owner, KIND)

    def job(self, job_id: str, owner: str | None = LOCAL_OWNER) -> Job:
        """A job of this owner (None: of anybody). Raises ``JobNotFound``."""
        return self.queue.job(job_id, owner)

    def jobs(self, owner: str | None = LOCAL_OWNER) -> list[Job]:
        """The owner's running and waiting jobs, in the order in which they will end."""
        return self.queue.jobs(owner)

    def readiness(self) -> Readiness:
        """The state of the worker that is furthest: one that is ready draws for all."""
        statuses = [worker.status for worker in self._workers]
        best = min(statuses, key=lambda status: ("ready", "starting", "failed", "closed").index(status.state))
        return Readiness(best.state == "ready", best.text)

    # models

    def add_input(self, data: bytes, owner: str = LOCAL_OWNER) -> str:
        """Keep a picture file that requests may start from, or a mask; its id. Raises ``UnreadablePicture``."""
        if self.inputs.cleaning_is_due:
            self.clean_inputs()
        return self.inputs.add(data, owner)

    def clean_inputs(self) -> None:
        """Remove the input pictures that nobody has used for long and no job needs."""
        requests = [job.snapshot().request for job in self.queue.jobs(None)]
        self.inputs.clean({id for request in requests for id in input_ids(request)})

    def checkpoints(self) -> tuple[ModelFile, ...]:
        """All checkpoint files, those that cannot be used with their ``problem``."""
        return self.library.files("checkpoint")

    def vaes(self) -> tuple[ModelFile, ...]:
        return self.library.files("vae")

    def upscalers(self) -> tuple[ModelFile, ...]:
        """Upscaling networks; Lanczos and Nearest need no file."""
        return self.library.files("upscaler")

    def upscaler_name(self, name: str) -> str:
        """The name in full. ``ModelNotFound`` names near matches."""
        return upscaler_name(self.library, name)

    def checkpoint(self, name: str = "", hash: str = "") -> ModelFile:
        """The checkpoint of that name, else of that hash, else the default one. ``ModelNotFound`` names near matches."""
        name = name or hash or self.settings.default_checkpoint
        if name:
            return self.library.find("checkpoint", name, hash)
        usable = [file for file in self.checkpoints() if not file.problem]
        if not usable:
            folders = ", ".join(str(folder) for folder in model_folders(self.settings)["checkpoint"])
            raise ModelNotFound(f"There is no usable checkpoint in {folders}. Put a .safetensors file there.")
        return usable[0]

    def suggested(self, checkpoint: str = "") -> Mapping[str, Any]:
        """Generation parameters that suit the checkpoint (its native size ...), by their names in the request."""
        return self.checkpoint(checkpoint).suggested

    def visited_levels(self, request: GenerationRequest) -> tuple[tuple[float, float], ...]:
        """(σ, timestep) at the beginning of each step of the request's run, and where it ends.

        What cannot be run raises ``InvalidRequest``, and a checkpoint that there is none of ``ModelNotFound``.
        """
        return self._visited_levels(request, self.checkpoint(request.checkpoint, request.checkpoint_hash))

    def unload_models(self) -> None:
        """Let go of all models before the next job, which reads its own again."""
        for worker in self._workers:
            if worker.name in self._free:
                worker.ask(self._free[worker.name])

    def rescan(self) -> None:
        """Look at the model folders again. New LoRAs and the like are read in the background."""
        self.library.begin_scan()

    # reading

    def count_tokens(self, text: str) -> TokenCount:
        """How many tokens a prompt takes, out of how many its chunks hold: of the texts that it has in turn, the longest."""
        return longest_text(self.library, text, self._tokenizer)

    def see_prompts(
        self, request: GenerationRequest, owner: str = LOCAL_OWNER, *, in_full: bool = False
    ) -> tuple[SeenPrompt, SeenPrompt]:
        """How the prompts of a request will be read; ``in_full`` with every token. Never raises."""
        styles, _ = self.styles.named(owner, request.styles)
        return see_prompts(self.library, self._tokenizer, request, styles, self.wildcards, in_full=in_full)

    def with_networks_here(
        self, request: GenerationRequest, civitai: str = ""
    ) -> tuple[GenerationRequest, tuple[str, ...]]:
        """A request from elsewhere with its LoRAs and embeddings as they are called here, and what is to be said of them."""
        return with_networks_here(self.library, request, civitai)

    def read_infotext(self, picture: bytes) -> ParsedInfotext | None:
        """What a picture file says of how it was made, whichever program wrote it; None if it says nothing."""
        return read_infotext(picture)

    def _visited_levels(self, request: GenerationRequest, checkpoint: ModelFile) -> tuple[tuple[float, float], ...]:
        sampler, schedule = find_sampler_and_schedule(request.sampler, request.schedule)
        model = trained_noise_model(with_overrides(checkpoint.configs["scheduler"], request))
        return visited_levels(sampler.name, schedule.name, request.steps, model, request, checkpoint.family)

    def _with_second_pass(self, request: GenerationRequest) -> GenerationRequest:
        """The request with the names of hires fix as they stand in the tables. Refuses a second pass that cannot be run."""
        request = named_in_full(self.library, request)
        second = second_pass(request)
        pixels = second.width * second.height * second.batch_size
        if pixels > self.settings.max_pixels:
            raise InvalidRequest(
                f"Hires fix would draw {second.width} x {second.height} x {second.batch_size} pictures, {pixels:,} pixels; this "
                f"server allows {self.settings.max_pixels:,} at once. Choose a smaller factor or batch size.",
                "hires_scale",
            )
        if second.steps > self.settings.max_steps:
            raise InvalidRequest(
                f"This server takes up to {self.settings.max_steps} sampling steps, not {second.steps}.", "hires_steps"
            )
        part_of_run(second.steps, second.denoising_strength, exact=True)  # refuses what is a part of too many
        self._visited_levels(second, self.checkpoint(second.checkpoint, second.checkpoint_hash))
        return request

    def _vae_name(self, request: GenerationRequest) -> str:
        for choice in VAE_CHOICES:
            if request.vae.casefold() == choice.casefold():
                return choice
        return self.library.find("vae", request.vae, request.vae_hash).name

    def _run_maker(self, device: str) -> Callable[[], Run]:
        settings, library, outputs, rescue = self.settings, self.library, self.outputs, self._rescue
        styles, wildcards, inputs, free = self.styles, self.wildcards, self.inputs, self._free

        def make_run() -> Run:
            # here and not above: this loads torch and diffusers, and happens in the worker's thread
            from webui.engine.generate import Options
            from webui.jobs.drawing import model_manager, set_up, workplace
            from webui.jobs.enlarging import enlarging

            models = model_manager(workplace(settings, device))
            free[device] = models.free_all
            options = Options(settings.preview, settings.preview_every, settings.tile_vae_above)
            draw = set_up(library, models, options, inputs)

            def run(assignment: Assignment) -> Any:
                if isinstance(assignment.request, EnlargeRequest):
                    enlarge = enlarging(assignment.owner, models, library, inputs)
                    yield from tasks.run(assignment, draw=enlarge, outputs=outputs, rescue=rescue)
                    return
                yield from map(Notice, styles.missing(assignment.owner, assignment.request.styles))
                chosen = choosing(partial(draw, owner=assignment.owner), wildcards)
                each = each_picture(looping(chosen, partial(inputs.keep, owner=assignment.owner)))
                yield from tasks.run(assignment, draw=each, outputs=outputs, rescue=rescue, version=__version__)

            return run

        return make_run


def accounts_of(settings: Settings) -> Accounts:
    """The accounts of this installation, whether or not a server runs."""
    return Accounts(settings.var_dir / "accounts.sqlite3")


def _limits(settings: Settings) -> Limits:
    return Limits(settings.max_waiting_jobs, settings.max_waiting_jobs_per_user, settings.max_jobs_per_minute)


def adopt_local(settings: Settings, owner: str) -> int:
    """Give ``owner`` what was made without accounts, and what it was made from; returns how many jobs."""
    InputPictures(settings.var_dir / "inputs").give(LOCAL_OWNER, owner)
    database = Database(settings.var_dir / "lucid.sqlite3")
    try:
        return change_owner(database, LOCAL_OWNER, owner)
    finally:
        database.close()


def model_folders(settings: Settings) -> dict[str, tuple[Path, ...]]:
    """Where each kind of model file is looked for: in ``models_dir`` first, then in the extra folders."""
    own = {kind: (settings.models_dir / folder,) for kind, folder in MODEL_FOLDERS.items()}
    return {kind: (*folders, *settings.extra_model_folders.get(kind, ())) for kind, folders in own.items()}


def _drawn(seed: int) -> int:
    return secrets.randbelow(_LAST_RANDOM_SEED + 1) if seed == -1 else seed
