"""A mail server that prints every mail it receives as a line of JSON; it ends when its input does.

Mailboxes that begin with `gone` are refused permanently, those that begin with `busy` twice temporarily.
"""

import argparse
import asyncio
import collections
import datetime
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# What it says of logins without TLS is what some tests are about.
warnings.simplefilter("ignore")
logging.disable()

arguments = argparse.ArgumentParser()
arguments.add_argument("--login", nargs=2, metavar=("USER", "PASSWORD"))
arguments.add_argument("--tls", metavar="FILE", help="STARTTLS, with a certificate for localhost that is written there")
arguments.add_argument("--smtps", action="store_true", help="TLS from the first byte instead")
arguments.add_argument("--refuse-sender", action="store_true")
arguments.add_argument("--ascii", action="store_true", help="no SMTPUTF8 and no 8BITMIME")
arguments.add_argument("--rcpt", metavar="REPLY", help="the answer to every recipient that begins with `refused`")
arguments.add_argument("--data", metavar="REPLY", help="the answer to every mail to an address that begins with `refused`")
arguments = arguments.parse_args()


def report(**line):
    print(json.dumps(line), flush=True)


class Handler:
    attempts = collections.Counter()

    async def handle_MAIL(self, server, session, envelope, address, options):
        if arguments.refuse_sender:
            return "550 5.7.1 you may not send under this address"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.attempts[address] += 1
        if arguments.rcpt and address.startswith("refused"):
            return arguments.rcpt
        if address.startswith("gone"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy") and self.attempts[address] <= 2:
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if arguments.data and envelope.rcpt_tos[0].startswith("refused"):
            return arguments.data
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        part = lambda kind: mail.get_body((kind,)).get_content().replace("\r\n", "\n")
        report(
            sender=envelope.mail_from,
            to=envelope.rcpt_tos[0],
            headers=[[name, str(value)] for name, value in mail.items()],
            text=part("plain"),
            html=part("html"),
            defects=[str(defect) for p in mail.walk() for defect in p.defects],
            tls=session.ssl is not None or arguments.smtps,
            login=session.auth_data.login.decode() if session.auth_data else None,
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    user, password = arguments.login
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=good, handled=False, auth_data=data)


def certified(path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    with open(path, "wb") as file:
        file.write(certificate.public_bytes(pem))
    with open(path + ".key", "wb") as file:
        plain = serialization.NoEncryption()
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path + ".key")
    return context


async def serve():
    tls = certified(arguments.tls) if arguments.tls else None
    starttls = tls if tls and not arguments.smtps else None
    settings = dict(enable_SMTPUTF8=not arguments.ascii, decode_data=arguments.ascii, hostname="mail.test", tls_context=starttls, require_starttls=bool(starttls))
    if arguments.login:
        settings |= dict(authenticator=authenticate, auth_required=True, auth_require_tls=False)
    loop = asyncio.get_running_loop()
    handler = Handler()
    wrapper = tls if arguments.smtps else None
    server = await loop.create_server(lambda: SMTP(handler, loop=loop, **settings), "127.0.0.1", 0, ssl=wrapper)
    report(port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
