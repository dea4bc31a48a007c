from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from model_headers import FLUX, SD1, SD1_SMALL, STORED_VAE, VAE, Shapes, kohya_lora, write_model

from webui.errors import IncompatibleModel, ModelNotFound, UnreadableModel, UnsafeModel
from webui.library.hashes import legacy_hash
from webui.library.index import Library
from webui.library.model_file import ModelFile


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Model folders that hold nothing yet."""
    for folder in ("checkpoints", "vae", "loras"):
        (tmp_path / "models" / folder).mkdir(parents=True)
    return tmp_path / "models"


def library_of(models: Path, **extra: tuple[Path, ...]) -> Library:
    """Scanned, with the folders of ``models`` and more of them by kind."""
    own = {"checkpoint": models / "checkpoints", "vae": models / "vae", "lora": models / "loras"}
    folders = {kind: (folder, *extra.get(kind, ())) for kind, folder in own.items()}
    library = Library(folders, models.parent / "var" / "hashes.sqlite3")
    library.rescan()
    return library


def names(library: Library, kind: str) -> list[str]:
    return [file.name for file in library.files(kind)]


def add(models: Path, name: str, shapes: Shapes = SD1) -> Path:
    return write_model(models / name, shapes)


class TestScan:
    def test_finds_files_in_folders_below(self, models: Path) -> None:
        add(models, "checkpoints/b.safetensors")
        add(models, "checkpoints/people/A.safetensors")
        add(models, "checkpoints/people/x/c.SAFETENSORS")
        (models / "checkpoints" / "readme.txt").touch()
        assert names(library_of(models), "checkpoint") == ["A", "b", "c"]

    def test_is_empty_before_the_first_look(self, models: Path) -> None:
        assert Library({"checkpoint": (models,)}, models / "hashes").files("checkpoint") == ()

    def test_hidden_and_unfinished_files_are_passed_over(self, models: Path) -> None:
        add(models, "checkpoints/.hidden.safetensors")
        add(models, "checkpoints/.cache/x.safetensors")
        for name, suffix in (("a", ".part"), ("b", ".aria2"), ("c", ".crdownload")):
            add(models, f"checkpoints/{name}.safetensors")
            (models / "checkpoints" / f"{name}.safetensors{suffix}").touch()
            (models / "checkpoints" / f"other.safetensors{suffix}").touch()
        assert names(library_of(models), "checkpoint") == []

    def test_a_missing_folder_is_a_sentence(self, models: Path, tmp_path: Path) -> None:
        add(models, "checkpoints/a.safetensors")
        library = library_of(models, lora=(tmp_path / "gone",))
        assert library.problems == (
            f"The lora folder {tmp_path / 'gone'} does not exist; create it or take it out of the settings.",
        )
        assert names(library, "checkpoint") == ["a"]

    def test_a_folder_named_twice_is_looked_at_once(self, models: Path) -> None:
        add(models, "checkpoints/people/a.safetensors")
        folders = (models / "checkpoints", models / "checkpoints" / "people", models / "vae" / ".." / "checkpoints")
        library = library_of(models, checkpoint=folders)
        assert names(library, "checkpoint") == ["a"]

    def test_a_folder_within_another_keeps_its_kind(self, models: Path) -> None:
        (models / "vae" / "old.pt").touch()
        library = library_of(models, checkpoint=(models,))
        assert [file.kind for file in library.files("vae")] == ["vae"]

    def test_links_are_followed_inside_only(self, models: Path, tmp_path: Path) -> None:
        secret = write_model(tmp_path / "elsewhere" / "secret.safetensors", SD1)
        add(models, "vae/real/sd.safetensors")
        (models / "checkpoints" / "file.safetensors").symlink_to(secret)
        (models / "checkpoints" / "folder").symlink_to(secret.parent)
        (models / "checkpoints" / "inside").symlink_to(models / "vae" / "real")
        (models / "checkpoints" / "inside" / "loop").symlink_to(models / "checkpoints")
        (models / "checkpoints" / "broken.safetensors").symlink_to(models / "checkpoints" / "gone.safetensors")
        library = library_of(models)
        assert names(library, "checkpoint") == ["sd"]
        problems = "\n".join(library.problems)
        assert (
            f"file.safetensors is passed over, because it is a link to {secret}, outside the model folders" in problems
        )
        assert f"folder is passed over, because it is a link to {secret.parent}" in problems
        assert "broken.safetensors cannot be looked at" in problems
        assert len(library.problems) == 3

    def test_a_link_that_is_named_in_the_settings_is_followed(self, models: Path, tmp_path: Path) -> None:
        write_model(tmp_path / "disk" / "sd.safetensors", SD1)
        (tmp_path / "link").symlink_to(tmp_path / "disk")
        assert names(library_of(models, checkpoint=(tmp_path / "link",)), "checkpoint") == ["sd"]

    def test_previews_and_sidecars_do_not_escape_either(self, models: Path, tmp_path: Path) -> None:
        (tmp_path / "secret.png").touch()
        add(models, "checkpoints/a.safetensors")
        (models / "checkpoints" / "a.png").symlink_to(tmp_path / "secret.png")
        assert library_of(models).find("checkpoint", "a").preview is None

    def test_a_name_that_is_not_unicode(self, models: Path) -> None:
        add(models, "checkpoints/a.safetensors")
        with open(os.fsencode(models) + b"/checkpoints/\xff.safetensors", "wb"):  # noqa: PTH123
            pass
        library = library_of(models)
        assert names(library, "checkpoint") == ["a"]
        assert "not valid Unicode; rename it" in library.problems[0]


class TestRescan:
    def test_sees_what_came_went_and_changed(self, models: Path) -> None:
        add(models, "checkpoints/a.safetensors")
        changing = add(models, "checkpoints/b.safetensors")
        library = library_of(models)
        before = library.files("checkpoint")
        add(models, "checkpoints/c.safetensors")
        (models / "checkpoints" / "a.safetensors").unlink()
        write_model(changing, FLUX)
        library.rescan()
        assert names(library, "checkpoint") == ["b", "c"]
        assert "Flux" in library.files("checkpoint")[0].problem
        assert [file.name for file in before] == ["a", "b"], "who holds the old index keeps it"

    @pytest.mark.parametrize("restarted", [False, True])
    def test_an_unchanged_file_is_not_opened_again(self, models: Path, restarted: bool) -> None:
        path = add(models, "checkpoints/a.safetensors")
        library = library_of(models)
        status = path.stat()
        path.write_bytes(b"x" * 100)  # nobody will know, as long as size and time stay
        os.truncate(path, status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        if restarted:
            library = library_of(models)
        library.rescan()
        assert library.find("checkpoint", "a").configs["unet"]["sample_size"] == 64

    def test_what_is_remembered_is_what_was_read(self, models: Path, starter: Path) -> None:
        add(models, "checkpoints/flux.safetensors", FLUX)
        (models / "checkpoints" / "old.ckpt").touch()
        (models / "checkpoints" / "lucid-starter.safetensors").write_bytes(starter.read_bytes())
        assert library_of(models).files("checkpoint") == library_of(models).files("checkpoint")

    def test_a_file_that_could_not_be_read_is_tried_again(self, models: Path) -> None:
        path = add(models, "checkpoints/a.safetensors")
        status = path.stat()
        content = path.read_bytes()[:5000]
        path.write_bytes(b"\xff" * 5000)
        os.truncate(path, status.st_size)
        os.utime(path, ns=(0, 0))
        library = library_of(models)
        assert library.files("checkpoint")[0].problem
        path.write_bytes(content)
        os.truncate(path, status.st_size)
        os.utime(path, ns=(0, 0))
        library.rescan()
        assert library.files("checkpoint")[0].problem == ""

    def test_thousands_of_files(self, models: Path) -> None:
        for number in range(2000):
            add(models, f"loras/{number % 100}/{number}.safetensors", {"emb_params": (1, 768)})
        library = library_of(models)
        library.rescan()
        assert len(library.files("embedding")) == 2000
        assert library.find("embedding", "1234").path.parent.name == "34"


class TestNames:
    def test_the_stem_if_it_is_the_only_one(self, models: Path) -> None:
        add(models, "checkpoints/people/a.safetensors")
        assert names(library_of(models), "checkpoint") == ["a"]

    def test_the_path_where_stems_collide(self, models: Path, tmp_path: Path) -> None:
        for name in ("a.safetensors", "people/a.safetensors", "animals/A.safetensors"):
            add(models, f"checkpoints/{name}")
        write_model(tmp_path / "extra" / "a.safetensors", SD1)
        library = library_of(models, checkpoint=(tmp_path / "extra",))
        found = names(library, "checkpoint")
        assert found == ["animals/A", "checkpoints/a.safetensors", "extra/a.safetensors", "people/a"]
        for name in found:
            assert library.find("checkpoint", name).name == name

    def test_a_pickle_gives_way(self, models: Path) -> None:
        add(models, "checkpoints/a.safetensors")
        (models / "checkpoints" / "a.ckpt").touch()
        library = library_of(models)
        assert library.find("checkpoint", "a").path.suffix == ".safetensors"
        assert names(library, "checkpoint") == ["a", "a.ckpt"]

    def test_names_are_unique_within_a_kind_only(self, models: Path) -> None:
        add(models, "checkpoints/a.safetensors")
        add(models, "vae/a.safetensors", VAE)
        library = library_of(models)
        assert names(library, "checkpoint") == names(library, "vae") == ["a"]

    def test_a_network_of_diffusers_is_called_after_its_folder(self, models: Path) -> None:
        add(models, "vae/sd-vae-ft-mse/diffusion_pytorch_model.safetensors", VAE)
        assert names(library_of(models), "vae") == ["sd-vae-ft-mse"]


class TestFind:
    @pytest.fixture
    def library(self, models: Path) -> Library:
        add(models, "checkpoints/people/Photo, v1.5.safetensors")
        add(models, "checkpoints/anime.safetensors")
        add(models, "checkpoints/two/same.safetensors", {**SD1, "other": (1,)})
        add(models, "checkpoints/one/same.safetensors")
        add(models, "loras/style.safetensors", kohya_lora(768))
        return library_of(models)

    @pytest.mark.parametrize(
        "name",
        ["Photo, v1.5", "photo, V1.5", "Photo, v1.5.safetensors", "people/Photo, v1.5.safetensors", "people\\Photo, v1.5",
         "people_Photo, v1.5", "Photo v1.5", " Photo, v1.5 ", "people/Photo, v1.5.safetensors [0123456789]"],
    )  # fmt: skip
    def test_by_any_name_that_is_in_use(self, library: Library, name: str) -> None:
        assert library.find("checkpoint", name).path.name == "Photo, v1.5.safetensors"

    def test_by_full_path(self, library: Library) -> None:
        path = library.files("checkpoint")[0].path
        assert library.find("checkpoint", str(path)).path == path

    def test_by_hash_once_it_is_known(self, library: Library) -> None:
        file = library.find("checkpoint", "anime")
        digest = library.hash(file)
        assert library.known_hash(file) == digest
        for name, given in (
            ("", digest[:10]),
            (digest[:10], ""),
            ("renamed", digest),
            (f"x [{digest[:10].upper()}]", ""),
        ):
            assert library.find("checkpoint", name, given) == file

    def test_by_the_hash_of_2022(self, models: Path) -> None:
        path = add(models, "checkpoints/a.safetensors")
        with path.open("r+b") as file:
            file.seek(0x100000)
            file.write(b"weights")
        add(models, "checkpoints/b.safetensors", SD1)
        library = library_of(models)
        assert library.find("checkpoint", "lost", legacy_hash(path)).path == path

    def test_a_name_goes_before_a_hash(self, library: Library) -> None:
        digest = library.hash(library.find("checkpoint", "one/same"))
        assert library.find("checkpoint", "anime", digest[:10]).name == "anime"

    def test_a_hash_decides_between_files_of_one_name(self, library: Library) -> None:
        with pytest.raises(ModelNotFound, match=r'several checkpoint files called "same".*"one/same" or "two/same"'):
            library.find("checkpoint", "same")
        for name in ("one/same", "two/same"):
            digest = library.hash(library.find("checkpoint", name))
            assert library.find("checkpoint", "same", digest[:10]).name == name

    def test_near_matches_are_named(self, library: Library) -> None:
        with pytest.raises(ModelNotFound, match=r'There is no checkpoint "animee"\. Did you mean "anime"'):
            library.find("checkpoint", "animee")
        with pytest.raises(ModelNotFound, match=r'There is no VAE "x"\. There are none'):
            library.find("vae", "x")

    def test_a_file_of_another_kind_is_told(self, library: Library) -> None:
        with pytest.raises(ModelNotFound, match='"style" is no checkpoint but a file of kind LoRA'):
            library.find("checkpoint", "style")

    def test_an_unusable_file_raises_its_problem(self, models: Path) -> None:
        add(models, "checkpoints/flux.safetensors", FLUX)
        (models / "checkpoints" / "old.ckpt").write_bytes(b"\x80\x02cos\nsystem\n(S'true'\ntR.")
        os.truncate(add(models, "checkpoints/cut.safetensors"), 5000)
        library = library_of(models)
        for name, error, problem in (
            ("flux", IncompatibleModel, "Flux checkpoints are not supported yet"),
            ("old", UnsafeModel, r'old\.ckpt was not opened, because it wants to use "os.system"'),
            ("cut", UnreadableModel, "cut short: 5.0 kB of"),
        ):
            with pytest.raises(error, match=problem):
                library.find("checkpoint", name)


class TestKinds:
    def test_the_file_decides_not_the_folder(self, models: Path) -> None:
        add(models, "checkpoints/sd.vae.safetensors", STORED_VAE)
        add(models, "checkpoints/lost.safetensors", kohya_lora(768))
        library = library_of(models)
        assert library.find("vae", "sd.vae").problem == ""
        assert names(library, "lora") == ["lost"]

    def test_the_folder_decides_where_the_file_does_not_tell(self, models: Path) -> None:
        add(models, "loras/odd.safetensors", {"x": (3,)})
        (models / "vae" / "v.pt").touch()
        library = library_of(models)
        assert "not a kind of model" in library.files("lora")[0].problem
        assert "v.pt is empty" in library.files("vae")[0].problem


def test_previews(models: Path) -> None:
    for name in ("a", "b", "c"):
        add(models, f"checkpoints/{name}.safetensors")
    for name in ("a.png", "a.preview.png", "b.jpg", "other.png"):
        (models / "checkpoints" / name).touch()
    previews = [file.preview for file in library_of(models).files("checkpoint")]
    assert [preview and preview.name for preview in previews] == ["a.preview.png", "b.jpg", None]


def test_a_diffusers_folder_is_hashed_by_its_unet(models: Path) -> None:
    unet = write_model(models / "checkpoints" / "folder" / "unet" / "diffusion_pytorch_model.safetensors", {"a": (1,)})
    library = library_of(models)
    file = ModelFile("checkpoint", "folder", unet.parent.parent, 0, 0)
    assert library.hash(file) == hashlib.sha256(unet.read_bytes()).hexdigest()


def test_small_models_need_their_configs(models: Path) -> None:
    add(models, "checkpoints/small.safetensors", SD1_SMALL)
    assert "lucid.configs" in library_of(models).files("checkpoint")[0].problem
