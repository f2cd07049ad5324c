from throwaway import make_study

from cobench.errors import KeyMissingError
from cobench.run import doctor
from cobench.run.doctor import checks


def no_key(study):
    raise KeyMissingError(en="no key file", zh="没有密钥文件")


def test_a_healthy_study_passes_every_check(tmp_path):
    found = checks(make_study(tmp_path), key=lambda study: b"key")
    assert [(name.en, fine) for name, fine, _ in found] == [
        ("Chinese font", True), ("kernel", True), ("pseudonym key", True), ("raw files", True), ("disk", True),
    ]  # fmt: skip
    assert all(message.zh and message.en for _, _, message in found)


def test_a_missing_key_is_told_with_its_reason(tmp_path):
    fine, message = doctor.check_key(make_study(tmp_path), no_key)
    assert not fine and message.en == "no usable key: no key file" and message.zh.endswith("没有密钥文件")


def test_a_source_without_files_is_named(tmp_path):
    study = make_study(tmp_path)
    for path in (tmp_path / "data" / "raw" / "2026-2027-1").iterdir():
        path.unlink()
    fine, message = doctor.check_raw_files(study)
    assert not fine and message.en == "newest term 2026-2027-1 has no file for: schools.csv"


def test_a_font_without_chinese_fails_the_font_check(tmp_path, monkeypatch):
    import matplotlib
    import pylopdf_fonts_zh_cn

    latin = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    monkeypatch.setattr(pylopdf_fonts_zh_cn, "sans_path", lambda: latin)
    fine, message = doctor.check_font()
    assert not fine and "boxes" in message.en


def test_a_kernel_that_does_not_start_fails_the_kernel_check(monkeypatch):
    monkeypatch.setattr("sys.executable", "no-such-python")
    fine, message = doctor.check_kernel()
    assert not fine and "no kernel starts" in message.en


def test_a_folder_that_cannot_be_written_fails_the_disk_check(tmp_path):
    fine, message = doctor.check_disk(tmp_path / "absent")
    assert not fine and message.en.startswith("not writable")
