"""Every error that a user may meet, in English and Chinese; none ever holds a person's name or identifier."""


class CobenchError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    en, zh : str
        The same message in both languages: what is wrong, where (file, sheet, row, column or key path),
        and the way out.
    """

    def __init__(self, en: str, zh: str = ""):
        super().__init__(en)
        self.en = en
        self.zh = zh or en

    def __reduce__(self):
        return (type(self), (self.en, self.zh))

    def in_language(self, language: str) -> str:
        """The message in ``zh`` or ``en``."""
        return self.zh if language == "zh" else self.en


class StudyFileError(CobenchError):
    """``study.toml`` (or a code book) is not as declared."""


class UnknownTermError(CobenchError):
    """A term that the study does not declare."""


class KeyMissingError(CobenchError):
    """The pseudonym key is absent, too short, inside the study, or readable by others."""


class KeyMismatchError(CobenchError):
    """A pseudonym key that isn't the one the stored tables were made with, or that would replace another."""


class ForgetError(CobenchError):
    """A child that can't be forgotten as asked."""


class UnreadableFileError(CobenchError):
    """A raw file that can't be decoded or opened."""


class UnknownLevelError(CobenchError):
    """A label that the code book or ``levels`` doesn't list."""


class MissingColumnError(CobenchError):
    """A raw file without a column that its source requires."""


class DuplicateStudentError(CobenchError):
    """Two different roster rows claim the same student number."""


class ConservationError(CobenchError):
    """Rows read are not rows accepted + quarantined + recognised as no data."""


class ResentFileError(CobenchError):
    """Two different files of one school for one purpose, of which none has been chosen."""


class IngestError(CobenchError):
    """Several fatal problems of one ingest, listed together."""


class StudyLockedError(CobenchError):
    """Another process is writing the study."""


class StorageError(CobenchError):
    """A disk that is full, read-only or not writable."""


class StageMissingError(CobenchError):
    """Something is asked for before the step that makes it has run."""


class TimeOrderError(CobenchError):
    """A covariate measured after the landmark, or an exposure outside its window."""


class NotEstimableError(CobenchError):
    """An effect that the data at hand can't answer."""


class ReleaseError(CobenchError):
    """Something unreleased is about to be shown or written."""


class IdentifierFoundError(CobenchError):
    """A finished page holds something that identifies a person."""


class ParameterError(CobenchError):
    """A notebook parameter that is unknown, missing or of the wrong type."""


class RunError(CobenchError):
    """A run that can't be started."""


class UndefinedByRuleError(CobenchError):
    """A case that a written formula of the rules does not cover."""
