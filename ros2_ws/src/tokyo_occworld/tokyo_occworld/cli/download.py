"""`tokyo download`: PLATEAU archives or tiles, published weights, and whether they are still as they came."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from occ_core.output_folders import FolderKind, check_addable
from tokyo_city.download.addresses import CATALOGUE, WEIGHTS

# Also what somebody put there by hand: archives, or unpacked ones, are as good as downloaded.
_DOWNLOADS = FolderKind("a folder of downloads", ("*.manifest.json", "*.part", "*.zip", "*/udx", "udx", "latest.pth"))


def add_download(download: argparse.ArgumentParser, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add the verbs below `tokyo download`."""
    verbs = download.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=parser_class)

    plateau = verbs.add_parser("plateau", help="city models: whole archives or single tiles")
    plateau.add_argument(
        "--area", nargs="+", default=[], metavar="WARD", help="chiyoda, Chiyoda-ku, 千代田区 or 13101; all: 23 wards"
    )
    plateau.add_argument(
        "--mesh", nargs="+", default=[], metavar="CODE",
        help="only these standard grid squares (8 digits: 1 km); of the 23 wards' archive without --area",
    )  # fmt: skip
    plateau.add_argument("--year", type=int, help="of wards' data sets (default: newest with buildings and roads)")
    plateau.add_argument("--dataset", default="", help="another data set of the catalogue, by its name there")
    plateau.add_argument("--catalogue", default=CATALOGUE, metavar="URL", help="a CKAN site (default: %(default)s)")
    plateau.add_argument("--dry-run", action="store_true", help="say which archives, and download nothing")
    _add_output(plateau, "data/plateau")
    plateau.set_defaults(handler=_plateau)

    models = verbs.add_parser("models", help="OccWorld's published weights, for load_from of a config")
    models.add_argument("--models-url", default=WEIGHTS, metavar="URL", help="(default: %(default)s)")
    models.add_argument("--sha256", default="", metavar="DIGITS", help="that the file must have")
    _add_output(models, "pretrained/occworld")
    models.set_defaults(handler=_models)

    check = verbs.add_parser("check", help="compare files with the SHA-256 of their download; exit code 1 for a change")
    check.add_argument("folder", nargs="?", type=Path, default=Path("data/plateau"), help="(default: %(default)s)")
    check.set_defaults(handler=_check)


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--output", type=Path, default=Path(default), metavar="DIR", help="(default: %(default)s)")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A disk that refuses is a sentence."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: {error.strerror or error}") from None


def _plateau(args: argparse.Namespace) -> int:
    if not args.dry_run:
        check_addable(args.output, _DOWNLOADS)
    from tokyo_city.download.catalogue import Catalogue
    from tokyo_city.download.plateau import DownloadRequest, archives, download_plateau
    from tokyo_city.download.web import Web

    wanted = DownloadRequest.of(args.area, args.mesh, args.dataset, args.year)
    web = Web()
    found = archives(web, Catalogue(web, args.catalogue), wanted)
    for archive in found:
        print(f"{archive.dataset}: {archive.url}", file=sys.stderr)
    if not args.dry_run:
        with _writing(args.output):
            for path in download_plateau(web, found, wanted.codes, args.output):
                print(path)
    return 0


def _models(args: argparse.Namespace) -> int:
    check_addable(args.output, _DOWNLOADS)
    from tokyo_city.download.checksum import Checksum
    from tokyo_city.download.web import Web
    from tokyo_city.download.weights import download_weights

    checksum = Checksum.parse(args.sha256) if args.sha256 else None
    with _writing(args.output):
        print(download_weights(Web(), args.models_url, args.output, checksum))
    return 0


def _check(args: argparse.Namespace) -> int:
    from tokyo_city.download.manifest import check_folder

    count, changed = check_folder(args.folder)
    for sentence in changed:
        print(sentence)
    print(f"{args.folder}: {count} files, {len(changed)} not as downloaded")
    return 1 if changed else 0
