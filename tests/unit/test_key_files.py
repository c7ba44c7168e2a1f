from structlog.testing import capture_logs

from monitor.config import parse
from monitor.key_files import KeyFiles


def test_a_key_file_of_a_cluster_that_is_no_longer_watched_is_not_read_any_more(tmp_path):
    files = {name: tmp_path / name for name in ("a", "b")}
    for file in files.values():
        file.write_text("first-key")
    config = parse(
        "clusters: [{name: x, url: 'http://x'}]", source="config.yml", directory=tmp_path, environ={}, path=None
    )
    keys = KeyFiles()
    assert {keys.key(file).get_secret_value() for file in files.values()} == {"first-key"}

    keys.keep_only([files["b"], None])
    files["a"].unlink()
    files["b"].write_text("second-key")
    with capture_logs() as logs:
        _, changed = keys.renew(config)

    assert changed == 1
    assert keys.key(files["b"]).get_secret_value() == "second-key"
    assert logs == []
