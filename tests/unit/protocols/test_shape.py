"""What looks random, and what does not."""

from __future__ import annotations

import random
import string

import pytest

from analyzer.protocols import shape
from analyzer.rules import secrets

PATTERNS = secrets.shipped()


@pytest.mark.parametrize(
    "token",
    [
        "9f86d081884c7d659a2feaa0c55ad015",
        "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B",
        "123e4567-e89b-42d3-a456-426614174000",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "kT7wQ9pLx2VbN4mRz8Yc",
        "q7h3n9x2k5m8w4t6v1b0",
        "aB3dE5fG7hJ9kL1m",
        "ghp_" + "a1B2c3D4e5F6g7H8i9J0",
        "sk_live_" + "abcdefghijkl",
        "xoxb-" + "1234567890-abcdefgh",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "AIza" + "SyA-abcdefghijklmnopqrstuvwxyz12345",
        "glpat-" + "abcdefghijklmnopqrst",
    ],
)
def test_random(token: str) -> None:
    for text in (token, f"/a/{token}/b", f"/x?y={token}&z=1", f"530 {token} is unknown"):
        assert shape.hide(text, PATTERNS) == text.replace(token, "(hidden)")


@pytest.mark.parametrize(
    "text",
    [
        "/wp-content/uploads/2020/11/IMG_20201128_101530_1024x768.jpg",
        "/how-to-install-python3-on-ubuntu20-04",
        "/getElementByIdFromDocumentObject",
        "/2020-11-28T10-15-30Z",
        "Sat, 28 Nov 2020 10:15:30 GMT",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0.1 Mobile/15E148",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; .NET CLR 2.0.50727)",
        "x86_64-unknown-linux-gnu-2.31",
        "250 2.0.0 Ok: queued as 4F2A1C0B5D",
        "250 OK id=1kitPQ-0003Xy-9Z",
        "ec2-203-0-113-25.compute-1.example.org",
        "a1b2c3d4e5f6a7b8c9d0e1f2.eu-west-1.elb.example.org",
        "227 Entering Passive Mode (192,0,2,1,195,80)",
        "12345678901234567890123456789012",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "THIS_IS_A_LONG_CONSTANT_NAME_WITH_2_NUMBERS",
    ],
)
def test_not_random(text: str) -> None:
    assert shape.hide(text, PATTERNS) == text


@pytest.mark.parametrize(
    ("alphabet", "size", "least"),
    [
        (string.ascii_letters + string.digits, 24, 470),
        (string.ascii_letters + string.digits + "-_", 32, 470),
        (string.ascii_lowercase + string.digits, 26, 450),
        ("0123456789abcdef", 32, 495),
        # Base32 has few digits: some of it reads like capitals with a number.
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32, 380),
    ],
)
def test_most_of_what_is_drawn_at_random_is_random(alphabet: str, size: int, least: int) -> None:
    draw = random.Random(20).choices  # noqa: S311 - no secret
    hidden = sum(shape.hide("".join(draw(alphabet, k=size)), PATTERNS) == "(hidden)" for _ in range(500))
    assert hidden >= least
