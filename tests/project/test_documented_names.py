"""Names that programs import, wherever the code behind them has moved to; and what such programs have pickled."""

from __future__ import annotations

import importlib
import logging
import pickle
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import imgstore

NAMES = {
    "imgstore": """
        new_for_filename new_for_format extract_only_frame get_supported_formats VideoImgStore DirectoryImgStore ensure_color
        ensure_grayscale test __version__ ImgStore Recorder StoreGroup VideoCapture hookimpl is_imgstore open_group serve
        update_metadata export
        """,
    "imgstore.exporting": "export Exported contact_sheet writing",
    "imgstore.stores": """
        new_for_filename new_for_format extract_only_frame get_supported_formats VideoImgStore DirectoryImgStore ensure_color
        ensure_grayscale STORE_MD_FILENAME STORE_LOCK_FILENAME STORE_MD_KEY STORE_INDEX_FILENAME _extract_store_metadata
        """,
    "imgstore.constants": """
        STORE_MD_FILENAME STORE_LOCK_FILENAME STORE_MD_KEY STORE_INDEX_FILENAME FRAME_MD EXTRA_DATA_FILE_EXTENSIONS
        """,
    "imgstore.index": "ImgStoreIndex",
    "imgstore.index.ImgStoreIndex": """
        new_from_chunks new_from_file to_file chunks frame_count frame_min frame_max frame_time_min frame_time_max
        get_all_metadata get_chunk_metadata find_chunk find_chunk_nearest
        """,
    "imgstore.util": """
        FourCC ensure_color ensure_grayscale JsonCustomEncoder ImageCodecProcessor motif_get_parse_true_fps
        load_config motif_get_recording_timezone motif_extra_data_h5_attrs motif_extra_data_h5_to_df motif_extra_data_json_to_df
        """,
    "imgstore.util.ImageCodecProcessor": """
        check_code set_default_code encoding autoconvert convert_to_bgr cv2_enum_to_code from_pylon_format from_cv2_enum
        """,
    "imgstore.align": "StoreAligner",
    "imgstore.align.StoreAligner": """
        MISSING_POLICY_DROP MISSING_POLICY_HOLD MISSING_POLICY_BLACK extract_common_frames iter_imgs
        """,
    "imgstore.group": "StoreGroup open_group Clock Step Steps Table find_cameras camera_names",
    "imgstore.group.StoreGroup": "fps iter_images get_images estimate_offsets to_dask close open_again",
    "imgstore.mapping": "map_store copy_store map_in_step Selection in_step side_by_side here processes Mapped LeftOut "
    "BatchMetadata Stopped",
    "imgstore.interface": "VideoCapture load_config",
    "imgstore.interface.VideoCapture": "get set read grab isOpened release",
    "imgstore.multistores": "MultiStore new_for_filename",
    "imgstore.stores.multi": "MultiStore VideoImgStore new_for_filename load_extra_cameras _extract_store_metadata",
    "imgstore.stores.multi.MultiStore": "new_for_filename select_store get_nearest_image get_image get_next_image get_chunk",
    "imgstore.stores.utils.formats": "get_formats",
    "imgstore.stores.utils.mixins.extract": "_extract_store_metadata",
    "imgstore.apps": "main_viewer main_saver main_test main_generate_timecodes generate_timecodes",
    "imgstore.timecodes": "generate_timecodes",
    "imgstore.verify": "check_store verify_store Fault Report",
    "imgstore.repair": "repair_store Action",
    "imgstore.plugins": "register unregister registered_codecs broken_plugins",
    "imgstore.hookspecs": "hookimpl imgstore_codecs imgstore_store_opened imgstore_store_closed imgstore_chunk_opened "
    "imgstore_chunk_closed",
    "imgstore.codec": "Buffer Codec Format FrameCodec FrameSpec ChunkCodec ChunkReader ChunkWriter",
    "imgstore.cli": "main view_main save_main test_main codecs_main index_main",
    "imgstore.store": "ImgStore VideoImgStore DirectoryImgStore",
    "imgstore.ImgStore": """
        frame_count frame_min frame_max frame_number frame_time frame_time_min frame_time_max duration image_shape chunks
        user_metadata uuid origin created mode filename full_path lossless close convert_frame_time_to_datetime get_next_image
        to_dask get_image get_nearest_image get_next_framenumber get_frame_metadata has_extra_data get_extra_data
        find_extra_data_files get_extra_data_samplerate disable_decoding save_index reindex add_image add_extra_data
        supported_formats supports_format _metadata _format _basedir _ext _chunk_paths _get_chunk_metadata
        _chunk_n_and_chunk_paths _iter_chunk_n_and_chunk_paths get_key_frames color chunk_files as_array
        open_again view
        """,
    "imgstore.VideoImgStore": "insert_chunk empty",
}
PAIRS = [(owner, name) for owner, names in NAMES.items() for name in names.split()]

# a reader of 0.x's successor before its modules moved: class, path, position of the frame last read
PICKLED_READER = "cimgstore.store\n_reopen\np0\n(cimgstore.store\n{kind}\np1\nV{path}\np2\n(dp3\nI{position}\nNtp4\nRp5\n."


def find(owner: str) -> Any:
    """Return a module, or a class in one."""
    return pkgutil.resolve_name(owner)


@pytest.mark.parametrize("owner, name", PAIRS, ids=[f"{owner}.{name}" for owner, name in PAIRS])
def test_name_is_there(owner: str, name: str) -> None:
    assert hasattr(find(owner), name)


def lacks_a_library(name: str) -> bool:
    """Whether a name is of a bridge to a library that is not here."""
    bridge = re.match(r"imgstore\.bridges\.\w+", name)
    try:
        if bridge is not None:
            importlib.import_module(bridge[0])
    except ModuleNotFoundError as error:
        return not (error.name or "imgstore").startswith("imgstore")
    return False


def test_names_on_the_pages_are_there(repository: Path) -> None:
    """Each dotted name of a module, class or function of ours that a page shows as code."""
    pages = [repository / "README.md", repository / "CHANGELOG.md", *(repository / "docs").glob("*.md")]
    told = {n for page in pages for n in re.findall(r"`(imgstore(?:_codecs)?(?:\.\w+)+)[`(]", page.read_text("utf-8"))}
    find("imgstore.writing.listeners")  # whose log is on a page
    missing = []
    for name in sorted(told):
        try:
            find(name)
        except (AttributeError, ImportError):
            if name not in logging.root.manager.loggerDict and not lacks_a_library(name):
                missing.append(name)
    assert len(told) > 10 and missing == []


@pytest.mark.parametrize("kind, sample", [("DirectoryImgStore", "dir-npy"), ("VideoImgStore", "video-mjpeg-avi")])
def test_a_reader_that_was_pickled_before_the_modules_moved_opens(samples: Path, kind: str, sample: str) -> None:
    text = PICKLED_READER.format(kind=kind, path=(samples / sample).as_posix(), position=11)
    with pickle.loads(text.encode("raw-unicode-escape")) as store, imgstore.new_for_filename(samples / sample) as fresh:
        assert type(store) is getattr(imgstore, kind)
        wanted, meta = fresh.get_image(None, frame_index=11)
        assert (store.frame_number, store.frame_time) == meta
        img, (number, _) = store.get_next_image()
        assert number == fresh.get_next_image()[1][0] and img.shape == wanted.shape


def test_an_index_that_was_pickled_before_the_modules_moved_answers(samples: Path) -> None:
    index = pickle.loads((samples / "dir-npy.index.pickle").read_bytes())
    with imgstore.new_for_filename(samples / "dir-npy") as store:
        assert type(index) is find("imgstore.index.ImgStoreIndex")
        assert index.get_all_metadata() == store._index.get_all_metadata()
        assert [index.find_chunk("frame_number", n) for n in store.frame_numbers] == [
            store._index.find_chunk("frame_number", n) for n in store.frame_numbers
        ]
