"""The web config file: what is supported of exporter-toolkit's format, and what is reported about everything else."""

import shutil
import ssl
import subprocess
from pathlib import Path

import bcrypt
import pytest

from monitor.config import Config, ConfigError, load, parse
from monitor.config.web_config import CIPHERS

CLUSTER = "clusters: [{name: a, url: 'http://a:19530'}]\n"
HASH = bcrypt.hashpw(b"secret", b"$2b$04$N9qo8uLOickgx2ZMRZoMye").decode()
EXAMPLE = Path(__file__).parents[2] / "config" / "web.yml"


def certificate(folder: Path, name: str, *options: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt", "-subj", f"/CN={name}"]
    subprocess.run([*command, *(options or ["-nodes"])], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    certificate(folder, "tls")
    certificate(folder, "other")
    certificate(folder, "locked", "-passout", "pass:secret")
    (folder / "empty.pem").write_text("")
    (folder / "torn.crt").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "web", dirs_exist_ok=True)
    return tmp_path / "web"


def read(text: str, folder: Path) -> Config:
    (folder / "web.yml").write_text(text)
    main = f"web_config: {folder.name}/web.yml\n{CLUSTER}"
    return parse(main, source="config.yml", directory=folder.parent, environ={"HASH": HASH})


def tls(settings: str = "", key: str = "tls.key") -> str:
    return f"tls_server_config:\n  cert_file: tls.crt\n  key_file: {key}\n  {settings}\n"


def test_sections_that_are_empty_have_their_defaults(folder: Path) -> None:
    web = read("tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n", folder).web
    web_with_headers = read("http_server_config: {headers: }\n", folder).web

    assert (web.context, web.users, web.headers, web_with_headers.headers) == (None, (), (), ())


def test_without_a_web_config_there_is_neither_tls_nor_a_password(tmp_path: Path) -> None:
    web = parse(CLUSTER, source="config.yml", directory=tmp_path, environ={}).web

    assert (web.context, web.users, web.has_auth()) == (None, (), False)


def test_tls_is_modern_unless_it_says_otherwise(folder: Path) -> None:
    web = read(tls(), folder).web

    assert web.context is not None
    assert web.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert web.context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert web.context.verify_mode is ssl.CERT_NONE
    assert not web.has_auth()


def test_everything_that_it_says_is_done(folder: Path) -> None:
    more = """client_auth_type: RequireAndVerifyClientCert
  client_ca_file: other.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]
  curve_preferences: [CurveP384]
  prefer_server_cipher_suites: false
http_server_config:
  http2: true
  headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=31536000, X-XSS-Protection: ''}
basic_auth_users: {prometheus: '${HASH}'}"""
    web = read(tls(more), folder).web

    assert web.context is not None
    assert web.context.maximum_version is ssl.TLSVersion.TLSv1_2
    assert web.context.verify_mode is ssl.CERT_REQUIRED
    names = {cipher["name"] for cipher in web.context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names == {"ECDHE-ECDSA-AES256-GCM-SHA384"}
    assert not web.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert web.client_names == {"prometheus.example", "10.0.0.1"}
    assert web.users == (("prometheus", HASH),)
    assert web.headers == (("X-Frame-Options", "deny"), ("Strict-Transport-Security", "max-age=31536000"))


@pytest.mark.parametrize(
    ("kind", "authenticates"), [("RequireAndVerifyClientCert", True), ("VerifyClientCertIfGiven", False)]
)
def test_a_certificate_is_authentication_only_if_it_is_required(kind: str, authenticates: bool, folder: Path) -> None:
    web = read(tls(f"client_ca_file: other.crt\n  client_auth_type: {kind}"), folder).web

    assert web.has_auth() is authenticates


def test_every_cipher_suite_has_a_name_that_openssl_knows(folder: Path) -> None:
    for go, name in CIPHERS.items():
        context = read(tls(f"cipher_suites: [{go}]"), folder).web.context
        assert context is not None
        assert name in {cipher["name"] for cipher in context.get_ciphers()}


def test_suites_of_tls_1_3_alone_leave_nothing_older(folder: Path) -> None:
    context = read(tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"), folder).web.context

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_the_fingerprint_follows_the_contents_of_every_file(folder: Path) -> None:
    first = read(tls(), folder).web.fingerprint
    again = read(tls(), folder).web.fingerprint
    certificate(folder, "tls")
    renewed = read(tls(), folder).web.fingerprint

    assert first == again != renewed


def test_no_hash_is_in_a_repr_and_each_is_redacted(folder: Path) -> None:
    config = read(f"basic_auth_users: {{a: '{HASH}'}}", folder)

    assert HASH not in repr(config)
    assert HASH in config.secrets()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["web.yml: the file is empty; it needs at least tls_server_config or basic_auth_users"]),
        ("- a", ["web.yml:1: the file must be a mapping of settings, with tls_server_config or basic_auth_users"]),
        ("${NONE}", ["web.yml:1: environment variable NONE is not set"]),
        ("a: [", ["web.yml:2: not valid YAML at column 1: did not find expected node content"]),
        ("basic_auth_user: {}", ['web.yml:1: basic_auth_user: unknown key; did you mean "basic_auth_users"?']),
        (
            "tls_server_config: {}",
            [
                "web.yml:1: tls_server_config.cert_file: is required",
                "web.yml:1: tls_server_config.key_file: is required",
            ],
        ),
        (
            tls("min_versoin: TLS12"),
            ['web.yml:4: tls_server_config.min_versoin: unknown key; did you mean "min_version"?'],
        ),
        (
            "http_server_config: {http3: true, headers: 3}",
            [
                'web.yml:1: http_server_config.http3: unknown key; did you mean "http2"?',
                "web.yml:1: http_server_config.headers: must be a mapping of settings (key: value)",
            ],
        ),
        (
            tls("cert: x"),
            [
                (
                    "web.yml:4: tls_server_config.cert: is not supported here; "
                    "write the certificate to a file and name it in cert_file"
                )
            ],
        ),
        (
            "rate_limit: {burst: 3}",
            ["web.yml:1: rate_limit: is not supported here; the cost of unauthenticated requests is bounded"],
        ),
        (
            tls("client_auth_type: RequireAnyClientCert"),
            [
                (
                    "web.yml:4: tls_server_config.client_auth_type: is not supported here, because it accepts "
                    "any certificate unchecked; use RequireAndVerifyClientCert"
                )
            ],
        ),
        (
            tls("client_auth_type: Maybe"),
            [
                (
                    "web.yml:4: tls_server_config.client_auth_type: must be one of NoClientCert, "
                    "VerifyClientCertIfGiven, RequireAndVerifyClientCert"
                )
            ],
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            ["web.yml:4: tls_server_config.client_auth_type: needs client_ca_file as well"],
        ),
        (
            tls("client_ca_file: other.crt"),
            [
                (
                    "web.yml:4: tls_server_config.client_ca_file: "
                    "needs client_auth_type: RequireAndVerifyClientCert as well"
                )
            ],
        ),
        (
            tls("client_allowed_sans: [a]"),
            [
                (
                    "web.yml:4: tls_server_config.client_allowed_sans: "
                    "needs client_auth_type: RequireAndVerifyClientCert as well"
                )
            ],
        ),
        (
            tls("client_allowed_sans: a"),
            ["web.yml:4: tls_server_config.client_allowed_sans: must be a list, such as [a, b]"],
        ),
        (
            tls("client_allowed_sans: [a, '']"),
            [
                "web.yml:4: tls_server_config.client_allowed_sans[1]: is empty; write a value or remove the key",
                (
                    "web.yml:4: tls_server_config.client_allowed_sans: "
                    "needs client_auth_type: RequireAndVerifyClientCert as well"
                ),
            ],
        ),
        (
            tls("max_version: TLS11"),
            ["web.yml:4: tls_server_config.max_version: must not be older than min_version, which is TLS12"],
        ),
        (
            tls("min_version: TLS14"),
            ["web.yml:4: tls_server_config.min_version: must be one of TLS10, TLS11, TLS12, TLS13"],
        ),
        (
            tls("curve_preferences: [CurveP256, X25519]"),
            [
                (
                    "web.yml:4: tls_server_config.curve_preferences: must name a single curve, or be left out for all "
                    "of them; several are not supported"
                )
            ],
        ),
        (
            tls("curve_preferences: [P256]"),
            [
                (
                    "web.yml:4: tls_server_config.curve_preferences[0]: must be one of "
                    "CurveP256, CurveP384, CurveP521, X25519"
                )
            ],
        ),
        (
            f"basic_auth_users: {{a: secret, 'b:c': '{HASH}'}}",
            [
                (
                    "web.yml:1: basic_auth_users.a: must be a bcrypt hash of a cost from 4 to 16, as printed by: "
                    "htpasswd -nBC 10 \"\" | tr -d ':\\n'"
                ),
                (
                    "web.yml:1: basic_auth_users: a user's name must be 1 to 256 characters without a colon or a "
                    "control character"
                ),
            ],
        ),
        (
            f"basic_auth_users: {{a: '{HASH.replace('$04$', '$31$')}'}}",
            [
                (
                    "web.yml:1: basic_auth_users.a: must be a bcrypt hash of a cost from 4 to 16, as printed by: "
                    "htpasswd -nBC 10 \"\" | tr -d ':\\n'"
                )
            ],
        ),
        (
            "http_server_config: {headers: {x-frame-option: deny, X-Frame-Options: allow, Content-Security-Policy: é}}",
            [
                'web.yml:1: http_server_config.headers.x-frame-option: unknown key; did you mean "X-Frame-Options"?',
                (
                    "web.yml:1: http_server_config.headers.Content-Security-Policy: must be up to 8,192 visible ASCII "
                    "characters on one line"
                ),
                "web.yml:1: http_server_config.headers.X-Frame-Options: must be one of deny, sameorigin",
            ],
        ),
        (
            "http_server_config: {headers: {Server: x}}",
            [
                (
                    "web.yml:1: http_server_config.headers.Server: unknown key; valid keys are "
                    "Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, "
                    "Strict-Transport-Security"
                )
            ],
        ),
        (
            tls(key="other.key"),
            ["web.yml:3: tls_server_config.key_file: FOLDER/other.key is not the key of the certificate in cert_file"],
        ),
        (
            tls(key="locked.key"),
            [
                (
                    "web.yml:3: tls_server_config.key_file: FOLDER/locked.key is encrypted; "
                    "it must be a key without a password"
                )
            ],
        ),
        (
            tls(key="none.key"),
            ["web.yml:3: tls_server_config.key_file: FOLDER/none.key does not exist"],
        ),
        (
            tls(key="."),
            ["web.yml:3: tls_server_config.key_file: FOLDER is a directory, not a file"],
        ),
        (
            tls(key="empty.pem"),
            [
                (
                    "web.yml:3: tls_server_config.key_file: FOLDER/empty.pem contains no private key in PEM format "
                    "(-----BEGIN …)"
                )
            ],
        ),
        (
            "tls_server_config: {cert_file: torn.crt, key_file: tls.key}",
            ["web.yml:1: tls_server_config.cert_file: FOLDER/torn.crt cannot be used: it is broken"],
        ),
        (
            tls("client_ca_file: torn.crt\n  client_auth_type: VerifyClientCertIfGiven"),
            ["web.yml:4: tls_server_config.client_ca_file: FOLDER/torn.crt cannot be used: it is broken"],
        ),
    ],
)
def test_each_mistake_is_one_sentence_with_file_line_and_key(text: str, expected: list[str], folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, folder)

    wanted = [f"{folder}/{line}".replace("FOLDER", str(folder)) for line in expected]
    assert list(caught.value.problems) == wanted


def test_a_web_config_that_is_not_there_is_reported_at_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"web_config: web.yml\n{CLUSTER}", source="config.yml", directory=tmp_path, environ={})

    assert caught.value.problems == (f"config.yml:1: web_config: {tmp_path}/web.yml does not exist",)


def test_the_mistakes_of_both_files_are_reported_together(folder: Path) -> None:
    (folder / "web.yml").write_text("x: 1")
    with pytest.raises(ConfigError) as caught:
        parse(f"web_config: web.yml\nlisten: x\n{CLUSTER}", source="config.yml", directory=folder, environ={})

    assert [problem.partition(": ")[0] for problem in caught.value.problems] == ["config.yml:2", f"{folder}/web.yml:1"]


def test_the_example_works_as_it_is(folder: Path) -> None:
    shutil.copy(EXAMPLE, folder / "web.yml")
    (folder / "config.yml").write_text(f"web_config: web.yml\n{CLUSTER}")
    web = load(folder / "config.yml", {}).web

    assert web.context is not None
    assert [name for name, _ in web.users] == ["prometheus"]
    assert dict(web.headers)["X-Content-Type-Options"] == "nosniff"
