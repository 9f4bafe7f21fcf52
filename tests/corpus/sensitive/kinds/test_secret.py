"""--scrub secret: the forms of services, URLs with passwords, and what is assigned to names of secrets."""

import base64
import math
import random
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.sensitive.kinds import secret
from tests.corpus.sensitive import values
from tests.corpus.sensitive.case import found, replaced, shape

ALNUM = string.ascii_letters + string.digits
DRAW = random.Random(9)
KEY = "b7Kq2ZtR9xWm4LpN8vSd"
MADE = [values.secret(random.Random(n), "english") for n in range(120)]


@pytest.mark.parametrize(("before", "value", "after"), MADE)
def test_made_up_secrets_are_found(before, value, after):
    if not any(map(str.isdigit, value)) and "-" not in value:
        pytest.skip("by chance without a digit: reads like a word")
    assert found("secret", f"{before}{value}{after}\n") == [value]


@pytest.mark.parametrize("prefix", secret.PREFIXES)
def test_every_services_form(prefix):
    """One character fewer than the form asks for is none."""
    form = secret._TOKENS[prefix]
    exact = re.search(r"\{(\d+)(,?)\}", form)
    size, least = int(exact[1]), bool(exact[2])
    if prefix in ("SG.", "eyJ"):
        body = {
            "SG.": "a1B2c3D4e5F6g7H8i9.z9Y8x7W6v5U4t3S2r1",
            "eyJ": "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        }[prefix]
        assert found("secret", f"x {prefix}{body} y") == [prefix + body]
        return
    among = "0123456789abcdef" if "a-f" in form else string.ascii_uppercase + "234567" if form.startswith("[A-Z0-9]") else ALNUM
    body = values.letters(random.Random(prefix), size - 2, among) + "7" + values.letters(random.Random(prefix), 1, among)
    assert found("secret", f"x {prefix}{body} y") == [prefix + body]
    assert found("secret", f"x {prefix}{body[:-1]} y") == []
    if least:
        assert found("secret", f"x {prefix}{body}{body} y") == [prefix + body + body]


@pytest.mark.parametrize("kind", ["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "])
@pytest.mark.parametrize("separator", ["\n", "\\n", "\n# ", '\\n"\n    "', "\r\n"])
def test_private_keys(kind, separator):
    body = base64.b64encode(random.Random(3).randbytes(300)).decode()
    lines = separator.join(body[i : i + 64] for i in range(0, len(body), 64))
    block = f"-----BEGIN {kind}PRIVATE KEY-----{separator}{lines}{separator}-----END {kind}PRIVATE KEY-----"
    assert found("secret", f"key = {block}; done") == [block]
    cut = f"-----BEGIN {kind}PRIVATE KEY-----{separator}{body[:64]}{separator}{body[64:128]}"
    assert found("secret", f"{cut}\n\nIt went on like this.") == [cut]  # without its end, as far as it goes
    assert found("secret", f"-----BEGIN {kind}PRIVATE KEY-----\nstands before the key.\n") == []
    assert found("secret", block.replace("PRIVATE", "PUBLIC")) == []


@pytest.mark.parametrize(
    "name", ["api_key", "API-KEY", "client.secret", "accessToken", "MY_APP_PASSWORD", "密钥", "x['token']", '"auth_key"']
)
@pytest.mark.parametrize("sign", [" = ", ":", "=>", ": ", "=", ":="])
def test_assignments(name, sign):
    for value in (f'"{KEY}"', f"'{KEY}'"):
        assert found("secret", f"{name}{sign}{value};") == [KEY]
    assert found("secret", f"{name}{sign}{KEY}\n") == [KEY]
    assert found("secret", f"{name}{sign}{KEY}&next=1 ") == [KEY]


@pytest.mark.parametrize("name", ["key", "comment", "commit", "sha256", "identifier", "monkey"])
def test_other_names_have_no_secrets(name):
    assert found("secret", f'{name} = "{KEY}"') == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            'api_key = "your-api-key-here"',
            "token = get_token(request)",
            "password: str = None",
            "secret=${SECRET_VALUE_OF_MINE}",
        ),
        *(
            "password = os.environ['DB_PASSWORD']",
            "token_count = 123456",
            "secret = arn:aws:secretsmanager:us-west-2:1112:secret:my1",
        ),
        *("PasswordLastUsed: 2016-09-08T21:47:36Z", "mdp_wdma0: wdma@14006000 {", "private_key: x25519.X25519PrivateKey"),
        *(f'"NextToken": "{KEY}"', f'"ClientToken": "{KEY}"', "token == " + KEY, "postgres://user:password@localhost/db"),
        *(
            "http://host:8080/@x",
            "AKIAIOSFODNN7EXAMPLE",
            "sk-learn-contrib-imbalanced-learn",
            "sk-ecdsa-sha2-nistp256@openssh.com",
        ),
        *(
            "password = $PASSWORD_OF_DB1",
            "secret: /run/secrets/db_password1",
            "token = aaaaaaaaaaaaaaaa1111",
            "api_key = 12345678901234567890",
        ),
        *("password = changeme1!", "secret_name = my-service-secret", "密码：请输入您的密码", 'pad_token = "<|endoftext|>"'),
    ],
)
def test_near_misses(text):
    assert found("secret", text) == []


@pytest.mark.parametrize("value", ["s3cr3t!pw", "pa:55:w0rd!", "Zx9%23qq"])
def test_passwords_in_urls(value):
    assert found("secret", f"postgresql://admin:{value}@db.internal:5432/app") == [value]
    assert found("secret", f"see postgresql://admin/{value}@db.internal") == []


@given(st.text(ALNUM, min_size=1, max_size=60))
def test_entropy_is_shannons(value):
    shares = [value.count(c) / len(value) for c in set(value)]
    assert secret._entropy(value) == pytest.approx(sum(p * math.log2(1 / p) for p in shares))


@pytest.mark.parametrize(("before", "value", "after"), MADE[:60])
def test_fakes_keep_prefix_and_form_and_say_example(before, value, after):
    text = f"{before}{value}{after}\n"
    if found("secret", text) != [value]:
        pytest.skip("not found")
    made = replaced("secret", text)
    assert made != text and len(made) == len(text) or "example" in made
    assert "EXAMPLE" in made or "example" in made
    prefix = next((prefix for prefix in secret.PREFIXES if value.startswith(prefix)), "")
    assert made.startswith(before + prefix)
    assert found("secret", made) == [] and replaced("secret", made) == made
    if "EXAMPLE" in made:
        place = made.index("EXAMPLE")
        assert shape(made[:place]) == shape(text[:place]) and shape(made[place + 7 :]) == shape(text[place + 7 :])
