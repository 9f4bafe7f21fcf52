"""Text that is like personal data and is none, for every kind, in English and Chinese. A part of `labelled.py`'s set."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from tests.corpus.sensitive import values
from tests.corpus.sensitive.values import digits, letters


def near_misses(draw: random.Random, language: str, kind: str) -> str:
    english, chinese = _MAKERS[kind](draw)
    return draw.choice(english if language == "english" or draw.random() < 0.3 else chinese)


Made = tuple[Sequence[str], Sequence[str]]


def _four(draw: random.Random) -> str:
    return ".".join(str(draw.randrange(30)) for _ in range(4))


def _email(draw: random.Random) -> Made:
    return [
        "thanks @alice_b and @bob!",
        "@app.route('/home')\ndef home():",
        "@pytest.mark.parametrize('x', [1])",
        f"ssh root@web{draw.randrange(99)}",
        f"scp me@host:/tmp/{digits(draw, 4)}",
        "git clone git@github.com:foo/bar.git",
        f"npm i left-pad@{draw.randrange(9)}.3.0",
        f"icon@{draw.randrange(2, 4)}x.png",
        "x = a@b.T",
        "http://localhost:8080/x@y",
        f"meet @ 5 p.m., room {digits(draw, 3)}",
        "https://medium.com/@someone/post.html",
        "y = X @ W.T + b",
        "see @types/node and @babel/core.js",
        "#include <x@y>",
        f"{letters(draw, 6)} at {letters(draw, 5)} dot com",
    ], [
        "感谢@张三 和@李四的帮助",
        "用@app.route装饰器",
        f"登录root@web{draw.randrange(99)}主机",
        "转发微博@人民日报：今天",
        f"安装包名@{draw.randrange(9)}.2.1版本",
        "邮箱格式为“用户名@域名”",
    ]


def _phone_number(draw: random.Random) -> Made:
    month, day, year = draw.randrange(1, 13), draw.randrange(1, 29), draw.randrange(1990, 2026)
    return [
        f"on {year}-{month:02d}-{day:02d} 12:34:56",
        f"{month:02d}/{day:02d}/{year}",
        f"invoice no. 00{digits(draw, 8)}",
        f"timestamp {draw.randrange(10**9, 2 * 10**9)}",
        f"ts={draw.randrange(10**12, 2 * 10**12)}",
        f"part {digits(draw, 3)}-{digits(draw, 3)}-{digits(draw, 3)}",
        f"({digits(draw, 3)}) 0{digits(draw, 2)}-{digits(draw, 4)}",
        f"+999 {digits(draw, 8)}",
        " ".join(str(draw.randrange(1900, 2030)) for _ in range(6)),
        " ".join(digits(draw, draw.randrange(1, 5)) for _ in range(12)),
        f"score {draw.randrange(100)}-{draw.randrange(100)}-{draw.randrange(100)}",
        f"pages {draw.randrange(100, 500)}-{draw.randrange(500, 999)}",
        f"{draw.uniform(-90, 90):.6f}, {draw.uniform(-180, 180):.6f}",
        f"${draw.randrange(1, 999)},{digits(draw, 3)}.{digits(draw, 2)} in total",
        f"ISBN 0-{digits(draw, 3)}-{digits(draw, 5)}-{digits(draw, 1)}",
        f"x + {draw.randrange(10**9, 10**10)}*y",
        f"ZIP {digits(draw, 5)}-{digits(draw, 4)}",
        f"population {draw.randrange(1, 9)},{digits(draw, 3)},{digits(draw, 3)}",
        f"id={draw.randrange(13 * 10**9, 19 * 10**9)} ns",
    ], [
        f"{year}年{month}月{day}日",
        f"日期：{year}-{month:02d}-{day:02d}",
        f"编号：00{digits(draw, 8)}",
        f"电话{draw.choice(('100', '110', '120', '10086', '12345', '95588'))}",
        f"手机1{draw.choice('012')}{digits(draw, 9)}",
        f"手机号{draw.choice(('138', '159'))}{digits(draw, 7)}不完整",
        f"138{digits(draw, 9)}多一位",
        f"人口{digits(draw, 10)}",
        f"邮编{digits(draw, 6)}",
        f"QQ：{draw.randrange(10**8, 10**9)}",
        f"比分{draw.randrange(9)}:{draw.randrange(9)}",
        f"房间{digits(draw, 3)}-{digits(draw, 3)}-{digits(draw, 3)}",
        f"增长{draw.randrange(100)}.{digits(draw, 2)}％",
        "价格：￥１２３４．５６",
    ]


def _ip_address(draw: random.Random) -> Made:
    four, hexes = _four(draw), letters(draw, 12, "0123456789abcdef")
    return [
        f"version {four} is out",
        f"v{four}",
        f"Chrome/{four} Safari",
        f"pip install foo=={four}",
        f"foo-{four}.tar.gz",
        f"see section {four} below",
        f"OID 1.3.6.1.4.1.{digits(draw, 4)}",
        f"{draw.randrange(256, 999)}.1.2.{draw.randrange(256)}",
        f"at {draw.randrange(10):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}",
        ":".join(hexes[i : i + 2] for i in range(0, 12, 2)),
        "std::dec << x; face::add()",
        "a[::2], b[1::3]",
        "1.2.3.4",
        f"\n{draw.randrange(1, 9)}.{draw.randrange(1, 9)}.{draw.randrange(1, 60)}.{draw.randrange(1, 60)}. Introduction",
        f"listen on 192.168.{draw.randrange(256)}.{draw.randrange(256)}",
        f"127.0.0.1:{digits(draw, 4)}",
        f"10.{draw.randrange(256)}.{draw.randrange(256)}.1",
    ], [
        f"版本{four}发布",
        f"升级到v{four}，",
        f"见第{four}节",
        f"时间12:34:{draw.randrange(60):02d}开始",
        f"地址是{draw.randrange(256, 999)}.1.2.3",
        f"内网地址192.168.{draw.randrange(256)}.{draw.randrange(256)}",
        f"北纬{draw.uniform(0, 60):.6f}，东经{draw.uniform(70, 140):.6f}",
    ]


def _wrong_card(draw: random.Random) -> str:
    body = "4" + digits(draw, 14)
    return body + str((int(values.luhn_digit(body)) + draw.randrange(1, 10)) % 10)


def _isbn(draw: random.Random) -> str:
    isbn = "978" + digits(draw, 9)
    return isbn + str(-sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(isbn)) % 10)


def _bank_card(draw: random.Random) -> Made:
    wrong, isbn = _wrong_card(draw), _isbn(draw)
    grouped = " ".join(wrong[i : i + 4] for i in range(0, 16, 4))
    return [
        f"card {wrong} was refused",
        f"card {grouped}",
        f"ISBN {isbn}",
        f"ISBN {isbn[:3]}-{isbn[3]}-{isbn[4:7]}-{isbn[7:12]}-{isbn[12]}",
        f"order #{digits(draw, draw.randrange(12, 21))}",
        f"0.{digits(draw, 16)}",
        f"pi is 3.1415926535897932, e is 2.{digits(draw, 15)}",
        f"tracking 1Z{digits(draw, 16)}",
        f"id 1{digits(draw, 17)}",
        f"EAN {digits(draw, 13)}",
    ], [
        f"银行卡{wrong}无效",
        f"卡号{grouped}有误",
        f"书号{isbn}",
        f"ISBN：{isbn[:3]}-7-{isbn[4:7]}-{isbn[7:12]}-{isbn[12]}",
        f"订单号：{digits(draw, draw.randrange(12, 21))}",
        f"运单{digits(draw, 14)}",
        f"圆周率3.{digits(draw, 16)}",
    ]


def _iban(draw: random.Random) -> Made:
    wrong = values.iban(draw, "english", wrong=draw.randrange(1, 90))
    return [
        f"IBAN {wrong}",
        wrong,
        f"GB{digits(draw, 2)} is a road",
        "AB12 CDEF words",
        f"serial {letters(draw, 2, string.ascii_uppercase)}{digits(draw, 2)} {digits(draw, 4)} {digits(draw, 4)}",
        f"key {letters(draw, 4, string.ascii_uppercase)}-{digits(draw, 4)}-{digits(draw, 4)}",
        f"VIN WVW{digits(draw, 14)}",
    ], [f"账号{wrong}", f"型号{letters(draw, 2, string.ascii_uppercase)}{digits(draw, 10)}", f"国道G{digits(draw, 3)}"]


def _chinese_id(draw: random.Random) -> Made:
    right = values.chinese_id(draw, "chinese").upper()
    wrong = right[:-1] + draw.choice([c for c in "0123456789" if c != right[-1]])
    year, month, day = draw.randrange(1990, 2026), draw.randrange(1, 13), draw.randrange(1, 29)
    return [
        f"ID {wrong}",
        f"ID {values.chinese_id(draw, 'english', '19830231')}",
        f"ID {right[:-1]}",
        f"1{right}",
        f"order {digits(draw, 6)}{year}{month:02d}{day:02d}",
        f"build {year}{month:02d}{day:02d}{digits(draw, 6)}",
    ], [
        f"身份证{wrong}错误",
        f"证件{values.chinese_id(draw, 'chinese', '19830231')}",
        f"订单{year}{month:02d}{day:02d}{digits(draw, 6)}已发货",
        f"第{digits(draw, 8)}号文件",
        f"【{year}】{digits(draw, 3)}号",
        f"学号{digits(draw, 12)}",
    ]


def _us_ssn(draw: random.Random) -> Made:
    area = draw.choice(("000", "666", str(draw.randrange(900, 1000))))
    return [
        f"SSN {area}-{digits(draw, 2)}-{digits(draw, 4)}",
        f"123-00-{digits(draw, 4)}",
        f"part {digits(draw, 3)}-{digits(draw, 2)}-{digits(draw, 5)}",
        f"{digits(draw, 4)}-{draw.randrange(10, 13)}-{digits(draw, 2)}",
        f"EIN {digits(draw, 2)}-{digits(draw, 7)}",
        f"nine digits: {digits(draw, 9)}",
    ], [f"SSN是{area}-{digits(draw, 2)}-{digits(draw, 4)}", f"零件{digits(draw, 4)}-{digits(draw, 2)}-{digits(draw, 3)}"]


def _secret(draw: random.Random) -> Made:
    hexes = letters(draw, 40, "0123456789abcdef")
    return [
        f"commit {hexes}",
        f"Merge {hexes[:7]} into {hexes[7:14]}",
        f"UUID {hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-a{hexes[17:20]}-{digits(draw, 12)}",
        f"sha256: {hexes}{hexes[:24]}",
        'api_key = "your-api-key-here"',
        "token = get_token(request)",
        'password = getpass.getpass("Password: ")',
        "password: str = None",
        "secret_name = my-service-secret",
        f"token_count = {digits(draw, 6)}",
        "api_key=${API_KEY}",
        "postgres://user:password@localhost/db",
        'pad_token = "<|endoftext|>"',
        "AKIAIOSFODNN7EXAMPLE",
        "sk-learn-contrib-imbalanced-learn",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0B\n-----END PUBLIC KEY-----",
        'BEGIN = "-----BEGIN RSA PRIVATE KEY-----"',
        "password = os.environ['DB_PASSWORD']",
        "self.token = self.lexer.next_token",
        f'"NextToken": "{hexes[:32]}"',
        "secret = arn:aws:secretsmanager:us-west-2:111122223333:secret:mySecret1",
        "PasswordLastUsed: 2016-09-08T21:47:36Z",
        "The password must be changed every 90 days.",
        "tokens: antlr4.BufferedTokenStream.Stream",
    ], [
        f"提交{hexes}",
        "密码：请输入密码",
        'api_key = "你的密钥"',
        "密码不能为空",
        "令牌：见附件2023-01-01",
        f"校验和{hexes}",
        "token = config['token']",
    ]


_MAKERS = dict(
    email=_email,
    phone_number=_phone_number,
    ip_address=_ip_address,
    bank_card=_bank_card,
    iban=_iban,
    chinese_id=_chinese_id,
    us_ssn=_us_ssn,
    secret=_secret,
)
