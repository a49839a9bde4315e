"""The errors that a user can mend: each message names the file, what is wrong and what to do."""


class SepnbError(Exception):
    """Base of all errors that sepnb raises on bad input; the command line prints it in one line and exits with 2."""


class AudioError(SepnbError):
    """A file is not audio, is damaged, or cannot be written in the format asked for."""


class TrackError(SepnbError):
    """A track, or a folder of tracks, is not what it must be."""


class StoreError(SepnbError):
    """A chunk store is damaged, belongs to other settings, or cannot be written."""


class ArchiveError(SepnbError):
    """An archive is missing, torn or not what was packed, or cannot be written or unpacked."""


class DownloadError(SepnbError):
    """A file could not be fetched, or what came is not what was promised."""
