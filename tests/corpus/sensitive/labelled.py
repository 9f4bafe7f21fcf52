"""A generated, labelled set of personal data in English and Chinese sentences, with near misses; it shares nothing with the finders.

Values come from own code for the checksums here, from phonenumbers' example numbers and from `random`; sentences from templates. The set
is a function of its seed. `python -m tests.corpus.sensitive.labelled` prints recall and precision by kind and language.
"""

from __future__ import annotations

import base64
import collections
import datetime
import random
import string

import phonenumbers

from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.flags import SensitiveFlags
from megatron_ext.corpus.sensitive.scrub import Scrubber

LANGUAGES = ("english", "chinese")

# ---- sentences: {} is where the value stands ------------------------------------------------------------------------------------
FRAMES = {
    ("english", "email"): [
        "Write to {} before Friday.",
        "Contact: {}",
        "<{}>",
        "mailto:{}",
        "from: Ann Lee <{}>, cc: none",
        "({})",
        '"email": "{}",',
        "My address is {}.",
        "{} wrote:",
        "git commit --author='A <{}>'",
        "email={}&x=1",
    ],
    ("chinese", "email"): [
        "请发邮件至{}联系我们。",
        "邮箱：{}，谢谢",
        "我的邮箱是{}",
        "投稿（{}）截止",
        "【{}】",
        "联系人：王伟，{}；",
        "email：{}",
    ],
    ("english", "phone_number"): [
        "Call me at {} tomorrow.",
        "Tel: {}",
        "Phone {} or come by.",
        "fax {}.",
        "Our number is {}, ask for Bob.",
        '{{"phone": "{}"}}',
        "contact: {}",
    ],
    ("chinese", "phone_number"): [
        "联系电话：{}。",
        "请拨打{}咨询",
        "手机{}（微信同号）",
        "电话{}，地址",
        "有事打{}找我",
        "热线：{}",
    ],
    ("english", "ip_address"): [
        "The server at {} is down.",
        "ping {}",
        "http://{}/index.html",
        "Failed login from {} port 22",
        "{} - - [10/Oct/2023]",
        "inet {};",
        "client={}, status=200",
        "IP: {}",
        "nameserver {}\n",
        "[{}]",
    ],
    ("chinese", "ip_address"): ["服务器地址是{}。", "请访问{}查看", "来自{}的登录失败", "IP：{}，端口80", "封禁了{}这个地址"],
    ("english", "bank_card"): [
        "Card number {} please.",
        "Visa: {}, exp 12/26",
        "I paid with {} yesterday.",
        '"pan": "{}"',
        "{}",
        "charge {} 12/25",
        "card={};",
    ],
    ("chinese", "bank_card"): ["银行卡号：{}。", "请转到{}（工商银行）", "卡号{}户名李娜", "我的卡是{}，谢谢", "账号：{}开户行"],
    ("english", "iban"): [
        "IBAN {}",
        "Please transfer to {} today.",
        "Account: {}, BIC DEUTDEFF",
        "{} (Deutsche Bank)",
        '"iban":"{}"',
        "My iban is {}.",
    ],
    ("chinese", "iban"): ["请汇款至{}。", "国际账号：{}，收款人", "IBAN是{}谢谢", "账户（{}）"],
    ("english", "chinese_id"): [
        "ID card {} on file.",
        "Chinese ID: {}",
        "passenger {}, seat 4",
        '"idNumber": "{}"',
        "resident {}.",
    ],
    ("chinese", "chinese_id"): [
        "身份证号：{}。",
        "身份证{}已核实",
        "李雷，男，{}，汉族",
        "证件号码{}（有效）",
        "公民身份号码{}住址",
    ],
    ("english", "us_ssn"): [
        "SSN: {}",
        "Her social security number is {}.",
        "ssn={},",
        "Employee {} hired",
        "applicant ({}) born 1980",
        "SSN {} on file",
    ],
    ("chinese", "us_ssn"): ["社会安全号码：{}。", "他的SSN是{}，请保密", "美国社保号{}已登记", "号码（{}）"],
    ("english", "secret"): [
        "key: {}",
        "export {}\n",
        "config {}\n",
        "we found {} in the log",
        "    {}  # todo",
        "{}",
        "set {}\n",
    ],
    ("chinese", "secret"): ["密钥如下：\n{}\n请勿外传", "配置：\n{}\n", "日志里有\n{}\n请处理", "代码：\n{}\n"],
}


def luhn_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value // 10 + value % 10
    return str((10 - total % 10) % 10)


def digits(draw, n):
    return "".join(draw.choice(string.digits) for _ in range(n))


def of(draw, letters, n):
    return "".join(draw.choice(letters) for _ in range(n))


# ---- values ---------------------------------------------------------------------------------------------------------------------
def email(draw, language):
    names = [
        "john.smith",
        "a.lee",
        "wang_wei",
        "zhangsan88",
        "m-garcia",
        "info",
        "x",
        "li.na+news",
        "PETER",
        "o.brien99",
        of(draw, string.ascii_lowercase, 7),
    ]
    hosts = [
        "gmail.com",
        "mail.example.co.uk",
        "163.com",
        "qq.com",
        "uni-bonn.de",
        "cs.mit.edu",
        "foo.io",
        "sub.dept.company.org",
        "126.com",
        "startup.ai",
        "example.com",
        "sina.com.cn",
    ]
    return f"{draw.choice(names)}@{draw.choice(hosts)}"


def _phone(draw, region):
    kinds = [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.TOLL_FREE]
    while True:
        number = phonenumbers.example_number_for_type(region, draw.choice(kinds)) or phonenumbers.example_number(region)
        national = phonenumbers.national_significant_number(number)
        for keep in (4, 5, 6, len(national)):  # other last digits, where the plan has them
            other = phonenumbers.PhoneNumber(
                country_code=number.country_code,
                national_number=int(national[:keep] + digits(draw, len(national) - keep)),
                italian_leading_zero=number.italian_leading_zero,
            )
            if phonenumbers.is_valid_number(other):
                return other


def phone_number(draw, language):
    F = phonenumbers.PhoneNumberFormat
    if draw.random() < 0.4:
        number = _phone(draw, draw.choice(sorted(phonenumbers.SUPPORTED_REGIONS)))
        return phonenumbers.format_number(number, draw.choice((F.E164, F.INTERNATIONAL)))
    number = _phone(draw, draw.choice(("CN", "CN", "US") if language == "chinese" else ("US", "GB")))
    national = phonenumbers.format_number(number, F.NATIONAL)
    if number.country_code == 1:
        plain = phonenumbers.national_significant_number(number)
        forms = ("({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "1-{}-{}-{}", "+1 ({}) {}-{}")
        return draw.choice(forms).format(plain[:3], plain[3:6], plain[6:])
    if number.country_code == 86:
        plain = phonenumbers.national_significant_number(number)
        if len(plain) == 11 and plain[0] == "1":
            return draw.choice((plain, national, f"{plain[:3]}-{plain[3:7]}-{plain[7:]}", "+86" + plain, "86" + plain))
    return national


def ip_address(draw, language):
    if draw.random() < 0.25:
        groups = [f"{draw.randrange(65536):x}" for _ in range(8)]
        groups[0] = draw.choice(("2001", "2400", "2606", "2a00"))
        if groups[0] == "2001":
            groups[1] = "4860"
        return draw.choice((":".join(groups), ":".join(groups[:4]) + "::" + groups[5], ":".join(groups[:3]) + "::1"))
    while True:
        parts = [draw.randrange(1, 224), draw.randrange(256), draw.randrange(256), draw.randrange(1, 255)]
        private = (
            parts[0] in (10, 127) or parts[:2] in ([169, 254], [192, 168], [192, 0]) or (parts[0] == 172 and 16 <= parts[1] < 32)
        )
        if (
            not private
            and not (parts[0] == 100 and 64 <= parts[1] < 128)
            and parts[:2] not in ([198, 18], [198, 19])
            and parts != sorted(parts)[:0]
        ):
            return ".".join(map(str, parts))


def bank_card(draw, language):
    prefix, length, groups = draw.choice(
        [
            ("4", 16, (4, 4, 4, 4)),
            ("51", 16, (4, 4, 4, 4)),
            ("2221", 16, (4, 4, 4, 4)),
            ("37", 15, (4, 6, 5)),
            ("6011", 16, (4, 4, 4, 4)),
            ("3528", 16, (4, 4, 4, 4)),
            ("36", 14, (4, 6, 4)),
            ("622202", 19, (4, 4, 4, 4, 3)),
            ("621700", 19, (6, 13)),
            ("62", 16, (4, 4, 4, 4)),
        ]
    )
    body = prefix + digits(draw, length - len(prefix) - 1)
    number = body + luhn_digit(body)
    separator = draw.choice(("", "", " ", "-"))
    if not separator:
        return number
    ends = [sum(groups[: i + 1]) for i in range(len(groups))]
    return separator.join(number[end - size : end] for end, size in zip(ends, groups))


def _mod97(text):
    return int("".join(str(int(c, 36)) for c in text)) % 97


def iban(draw, language, wrong=0):
    country, form = draw.choice(
        [
            ("DE", "n" * 18),
            ("GB", "aaaa" + "n" * 14),
            ("FR", "n" * 23),
            ("NL", "aaaa" + "n" * 10),
            ("CH", "n" * 17),
            ("ES", "n" * 20),
            ("PL", "n" * 24),
            ("NO", "n" * 11),
            ("MT", "aaaa" + "n" * 23),
            ("SA", "n" * 20),
        ]
    )
    bban = "".join(draw.choice(string.digits if c == "n" else string.ascii_uppercase) for c in form)
    check = (98 - _mod97(bban + country + "00") + wrong - 2) % 97 + 2
    value = f"{country}{check:02d}{bban}"
    return value if draw.random() < 0.5 else " ".join(value[i : i + 4] for i in range(0, len(value), 4))


def _id_digit(body):
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(w * int(c) for w, c in zip(weights, body)) % 11]


def chinese_id(draw, language, date=None):
    place = draw.choice(("110105", "310104", "440305", "510107", "320102", "420106", "610113", "230103", "650102", "810000"))
    date = date or (datetime.date(1940, 1, 1) + datetime.timedelta(draw.randrange(29000))).strftime("%Y%m%d")
    body = place + date + digits(draw, 3)
    value = body + _id_digit(body)
    return value.lower() if draw.random() < 0.2 else value


def us_ssn(draw, language):
    area = draw.choice([a for a in range(1, 900) if a != 666])
    return f"{area:03d}-{draw.randrange(1, 100):02d}-{draw.randrange(1, 10000):04d}"


def secret(draw, language):
    """`(text before, secret, text after)`."""
    alnum, lower, upper = string.ascii_letters + string.digits, string.ascii_lowercase, string.ascii_uppercase
    b64url = lambda n: base64.urlsafe_b64encode(draw.randbytes(n)).decode().rstrip("=")
    pem = base64.b64encode(draw.randbytes(600)).decode()
    lines = "\n".join(pem[i : i + 64] for i in range(0, len(pem), 64))
    choices = [
        ("AWS_ACCESS_KEY_ID=", "AKIA" + of(draw, upper + "234567", 16), ""),
        ("aws_secret_access_key = ", base64.b64encode(draw.randbytes(30)).decode(), ""),
        ("", "ghp_" + of(draw, alnum, 36), ""),
        ("token ", "github_pat_" + of(draw, alnum, 22) + "_" + of(draw, alnum, 59), ""),
        ("", f"xoxb-{digits(draw, 12)}-{digits(draw, 12)}-{of(draw, alnum, 24)}", ""),
        ('"', "AIza" + of(draw, alnum + "_-", 34) + draw.choice(alnum), '"'),
        ("OPENAI_API_KEY=", "sk-" + of(draw, alnum, 48), ""),
        ("", "sk-proj-" + of(draw, alnum, 60), ""),
        ("", "sk_live_" + of(draw, alnum, 24), ""),
        ("Authorization: Bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJ" + b64url(30) + "." + b64url(32), ""),
        ("", f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----", ""),
        ("", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}\n-----END OPENSSH PRIVATE KEY-----", ""),
        ("postgresql://admin:", of(draw, alnum, 10) + draw.choice("!#$") + digits(draw, 2), "@db.internal:5432/app"),
        ("https://bob:", of(draw, lower, 6) + digits(draw, 4), "@git.company.com/repo.git"),
        ('api_key = "', of(draw, "0123456789abcdef", 32), '"'),
        ("client_secret: '", of(draw, alnum, 32), "'"),
        ('"access_token": "', of(draw, alnum, 40), '"'),
        ('password = "', of(draw, alnum, 9) + draw.choice("!#$%") + digits(draw, 2), '"'),
        ("DB_PASSWORD=", of(draw, upper, 3) + of(draw, lower, 5) + digits(draw, 3) + "!" + of(draw, upper, 2), ""),
        ('SECRET_KEY = "', of(draw, alnum + "!#$%^&*-_=+", 50), '"'),
    ]
    return draw.choice(choices)


VALUES = dict(
    email=email,
    phone_number=phone_number,
    ip_address=ip_address,
    bank_card=bank_card,
    iban=iban,
    chinese_id=chinese_id,
    us_ssn=us_ssn,
    secret=secret,
)


# ---- near misses ----------------------------------------------------------------------------------------------------------------
def near_misses(draw, language):
    """Every kind of text that is like personal data and is none."""
    body = "4" + digits(draw, 14)
    wrong_card = body + str((int(luhn_digit(body)) + draw.randrange(1, 10)) % 10)
    id_ = chinese_id(draw, language).upper()
    wrong_id = id_[:-1] + draw.choice([c for c in "0123456789" if c != id_[-1]])
    month, day, year = draw.randrange(1, 13), draw.randrange(1, 29), draw.randrange(1990, 2026)
    four = ".".join(str(draw.randrange(30)) for _ in range(4))
    isbn = "978" + digits(draw, 9)
    isbn += str(-sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(isbn)) % 10)
    hexes = of(draw, "0123456789abcdef", 40)
    english = [
        f"card {wrong_card} was refused",
        f"card {wrong_card[:4]} {wrong_card[4:8]} {wrong_card[8:12]} {wrong_card[12:]}",
        f"ID {wrong_id}",
        f"ID {chinese_id(draw, language, '19830231')}",
        f"IBAN {iban(draw, language, wrong=draw.randrange(1, 90))}",
        f"version {four} is out",
        f"v{four}",
        f"Chrome/{four} Safari",
        f"pip install foo=={four}",
        f"foo-{four}.tar.gz",
        f"see section {four} below",
        f"OID 1.3.6.1.4.1.{digits(draw, 4)}",
        f"{draw.randrange(256, 999)}.1.2.{draw.randrange(256)}",
        f"on {year}-{month:02d}-{day:02d} 12:34:56",
        f"{month:02d}/{day:02d}/{year}",
        f"at {draw.randrange(10):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}",
        f"ISBN {isbn}",
        f"ISBN {isbn[:3]}-{isbn[3]}-{isbn[4:7]}-{isbn[7:12]}-{isbn[12]}",
        f"ISBN 0-{digits(draw, 3)}-{digits(draw, 5)}-{digits(draw, 1)}",
        f"order #{digits(draw, draw.randrange(12, 21))}",
        f"invoice INV-{year}-{digits(draw, 6)}",
        f"invoice no. 00{digits(draw, 8)}",
        f"${draw.randrange(1, 999)},{digits(draw, 3)}.{digits(draw, 2)} in total",
        f"{draw.uniform(-90, 90):.6f}, {draw.uniform(-180, 180):.6f}",
        f"commit {hexes}",
        f"Merge {hexes[:7]} into {hexes[7:14]}",
        "thanks @alice_b and @bob!",
        "@app.route('/home')\ndef home():",
        "@pytest.mark.parametrize('x', [1])",
        f"ssh root@web{draw.randrange(99)}",
        f"scp me@host:/tmp/{digits(draw, 4)}",
        "git clone git@github.com:foo/bar.git",
        "npm i left-pad@1.3.0",
        "icon@2x.png",
        "x = a@b.T",
        f"UUID {hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-a{hexes[17:20]}-{digits(draw, 12)}",
        ":".join(hexes[i : i + 2] for i in range(0, 12, 2)),
        "std::dec << x; face::add()",
        f"timestamp {draw.randrange(10**9, 2 * 10**9)}",
        f"ts={draw.randrange(10**12, 2 * 10**12)}",
        f"SSN {draw.choice(('000', '666', str(draw.randrange(900, 1000))))}-{digits(draw, 2)}-{digits(draw, 4)}",
        f"123-00-{digits(draw, 4)}",
        f"part {digits(draw, 3)}-{digits(draw, 3)}-{digits(draw, 3)}",
        f"({digits(draw, 3)}) 0{digits(draw, 2)}-{digits(draw, 4)}",
        f"+999 {digits(draw, 8)}",
        f"0.{digits(draw, 16)}",
        f"pi is 3.1415926535897932, e is 2.{digits(draw, 15)}",
        " ".join(str(draw.randrange(1900, 2030)) for _ in range(6)),
        " ".join(digits(draw, draw.randrange(1, 5)) for _ in range(12)),
        'api_key = "your-api-key-here"',
        "token = get_token(request)",
        'password = getpass.getpass("Password: ")',
        "password: str = None",
        "secret_name = my-service-secret",
        f"token_count = {digits(draw, 6)}",
        "api_key=${API_KEY}",
        "postgres://user:password@localhost/db",
        "http://localhost:8080/x@y",
        'pad_token = "<|endoftext|>"',
        "AKIAIOSFODNN7EXAMPLE",
        f"sha256: {hexes}{hexes[:24]}",
        "sk-learn-contrib-imbalanced-learn",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0B\n-----END PUBLIC KEY-----",
        'BEGIN = "-----BEGIN RSA PRIVATE KEY-----"',
        "password = os.environ['DB_PASSWORD']",
        "self.token = self.lexer.next_token",
        f"GB{digits(draw, 2)} is a road",
        "AB12 CDEF words",
        f"score {draw.randrange(100)}-{draw.randrange(100)}-{draw.randrange(100)}",
        f"pages {draw.randrange(100, 500)}-{draw.randrange(500, 999)}",
        "1.2.3.4",
    ]
    chinese = [
        f"银行卡{wrong_card}无效",
        f"卡号{wrong_card[:4]} {wrong_card[4:8]} {wrong_card[8:12]} {wrong_card[12:]}有误",
        f"身份证{wrong_id}错误",
        f"证件{chinese_id(draw, language, '19830231')}",
        f"账号{iban(draw, language, wrong=draw.randrange(1, 90))}",
        f"版本{four}发布",
        f"升级到v{four}，",
        f"见第{four}节",
        f"{year}年{month}月{day}日",
        f"日期：{year}-{month:02d}-{day:02d}",
        f"时间12:34:{draw.randrange(60):02d}开始",
        f"书号{isbn}",
        f"ISBN：{isbn[:3]}-7-{isbn[4:7]}-{isbn[7:12]}-{isbn[12]}",
        f"订单号：{digits(draw, draw.randrange(12, 21))}",
        f"订单{year}{month:02d}{day:02d}{digits(draw, 6)}已发货",
        f"价格{draw.randrange(1, 999)},{digits(draw, 3)}.{digits(draw, 2)}元",
        f"北纬{draw.uniform(0, 60):.6f}，东经{draw.uniform(70, 140):.6f}",
        f"提交{hexes}",
        "感谢@张三 和@李四的帮助",
        "用@app.route装饰器",
        f"登录root@web{draw.randrange(99)}主机",
        f"第{digits(draw, 8)}号文件",
        f"编号：00{digits(draw, 8)}",
        f"电话{draw.choice(('100', '110', '120', '10086', '12345', '95588'))}",
        f"手机1{draw.choice('012')}{digits(draw, 9)}",
        f"手机号{draw.choice(('138', '159'))}{digits(draw, 7)}不完整",
        f"138{digits(draw, 9)}多一位",
        f"人口{digits(draw, 10)}",
        f"邮编{digits(draw, 6)}",
        f"QQ：{draw.randrange(10**8, 10**9)}",
        f"运单{digits(draw, 14)}",
        f"SSN是{draw.choice(('000', '666', str(draw.randrange(900, 1000))))}-{digits(draw, 2)}-{digits(draw, 4)}",
        f"圆周率3.{digits(draw, 16)}",
        f"地址是{draw.randrange(256, 999)}.1.2.3",
        "密码：请输入密码",
        'api_key = "你的密钥"',
        "密码不能为空",
        f"比分{draw.randrange(9)}:{draw.randrange(9)}",
        f"【{year}】{digits(draw, 3)}号",
        f"增长{draw.randrange(100)}.{digits(draw, 2)}％",
        "价格：￥１２３４．５６",
        f"房间{digits(draw, 3)}-{digits(draw, 3)}-{digits(draw, 3)}",
    ]
    return draw.choice(english if language == "english" or draw.random() < 0.3 else chinese)


FILLER = {
    "english": [
        "The meeting was moved to Monday.",
        "It rained all day, and nobody came.",
        "She read the report twice.",
        "In 1984 the plant closed.",
        "See chapter 3, table 12.",
    ],
    "chinese": ["会议改到星期一举行。", "那天下了一整天的雨。", "她把报告读了两遍。", "1984年工厂关闭了。", "详见第3章表12。"],
}


def items(language: str, count: int, seed: int = 0):
    """`(text, [(kind, start, end), …])`: a few sentences with values, near misses and neither."""
    draw = random.Random(f"{language} {seed}")
    kinds = list(VALUES)
    for number in range(count):
        text, truth = "", []
        for part in draw.sample(["value", "value", "miss", "miss", "filler"], 5):
            if part == "filler":
                text += draw.choice(FILLER[language])
            elif part == "miss":
                text += near_misses(draw, language)
            else:
                kind = kinds[number % len(kinds)] if draw.random() < 0.5 else draw.choice(kinds)
                frame = draw.choice(FRAMES[language, kind])
                value = VALUES[kind](draw, language)
                before, value, after = value if kind == "secret" else ("", value, "")
                head, tail = frame.format("\0").split("\0")
                truth.append((kind, len(text + head + before), len(text + head + before) + len(value)))
                text += head + before + value + after + tail
            text += draw.choice(("\n", "\n", "。" if language == "chinese" else " . "))
        yield text, truth


def measure(language: str, count: int, seed: int = 0):
    """`{kind: (of the set, found, found rightly)}` and what went wrong; a span counts only with its exact bounds."""
    scrubber = Scrubber(SensitiveFlags(scrub=tuple(KINDS)))
    counts, wrong = collections.defaultdict(lambda: [0, 0, 0]), []
    for text, truth in items(language, count, seed):
        found = {(span.kind, span.start, span.end) for span in scrubber.spans(text)}
        for kind, *_ in truth:
            counts[kind][0] += 1
        for kind, *_ in found:
            counts[kind][1] += 1
        for kind, *_ in found & set(truth):
            counts[kind][2] += 1
        wrong += [
            (
                "missed" if entry in truth else "false",
                entry[0],
                text[max(0, entry[1] - 25) : entry[2] + 10],
                text[entry[1] : entry[2]],
            )
            for entry in found ^ set(truth)
        ]
    return counts, wrong


if __name__ == "__main__":
    import sys

    print("| kind | language | items | recall | precision |\n|---|---|---|---|---|")
    for language in LANGUAGES:
        counts, wrong = measure(language, int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
        for kind in sorted(counts):
            true, found, right = counts[kind]
            print(f"| {kind} | {language} | {true:,} | {right / true:.1%} | {right / found:.1%} |")
        if len(sys.argv) > 2:
            for line in sorted(wrong)[:: max(1, len(wrong) // int(sys.argv[2]))]:
                print(line)
