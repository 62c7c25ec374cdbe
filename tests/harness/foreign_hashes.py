"""Prints hashes of a password by the libraries that applications use, as JSON: {"format": "hash"}.

Costs are low, to be quick; with --usual-costs, they are the defaults of the libraries.
"""

import base64
import hashlib
import json
import os
import sys
import warnings

import argon2
import bcrypt
import django.conf
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.contrib.auth import hashers
from passlib import hash as passlib
from werkzeug.security import generate_password_hash

# passlib asks the deprecated module `crypt` what it can do.
warnings.simplefilter("ignore")
django.conf.settings.configure()

*options, password = sys.argv[1:]
usual = options == ["--usual-costs"]


def werkzeug_hash(method, cost):
    return generate_password_hash(password, method if usual else method + cost)


def django_hash(hasher, **costs):
    for name, cost in costs.items():
        setattr(hasher, name, getattr(hasher, name) if usual else cost)
    return hasher.encode(password, hasher.salt())


def argon2_hash(kind):
    costs = {} if usual else {"time_cost": 1, "memory_cost": 64, "parallelism": 2}
    return argon2.PasswordHasher(type=kind, **costs).hash(password)


def passlib_hash(function, **costs):
    return (function if usual else function.using(**costs)).hash(password)


def salted_sha384():
    """https://www.openldap.org/faq/data/cache/347.html, with another SHA-2; passlib has none of this length."""
    salt = os.urandom(8)
    return "{SSHA384}" + base64.b64encode(hashlib.sha384(password.encode() + salt).digest() + salt).decode()


def werkzeug_hash_with(salt):
    rounds = 1_000_000 if usual else 1000
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), rounds)
    return f"pbkdf2:sha256:{rounds}${salt}${key.hex()}"


def bcrypt_hash(prefix=b"2b"):
    # bcrypt 5 refuses what earlier versions cut off.
    salt = bcrypt.gensalt(prefix=prefix) if usual else bcrypt.gensalt(4, prefix)
    return bcrypt.hashpw(password.encode()[:72], salt).decode()


def firebase_hash():
    """https://github.com/firebase/scrypt, in the form of Supabase Auth."""
    signer_key, salt, separator, n = os.urandom(64), os.urandom(10), b"\x07", 14 if usual else 10
    key = hashlib.scrypt(
        password.encode(), salt=salt + separator, n=1 << n, r=8, p=1, maxmem=1 << 26, dklen=64
    )[:32]
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    signed = encryptor.update(signer_key) + encryptor.finalize()
    separator, signer_key, salt, signed = (
        base64.b64encode(part).decode() for part in (separator, signer_key, salt, signed)
    )
    return f"$fbscrypt$v=1,n={n},r=8,p=1,ss={separator},sk={signer_key}${salt}${signed}"


hashes = {
    "werkzeug pbkdf2:sha1": werkzeug_hash("pbkdf2:sha1", ":1000"),
    "werkzeug pbkdf2:sha256": werkzeug_hash("pbkdf2:sha256", ":1000"),
    "werkzeug pbkdf2:sha384": werkzeug_hash("pbkdf2:sha384", ":1000"),
    "werkzeug pbkdf2:sha512": werkzeug_hash("pbkdf2:sha512", ":1000"),
    # What somebody has stored by hand: werkzeug itself makes salts of ASCII.
    "werkzeug with a salt beyond ASCII": werkzeug_hash_with("sälz"),
    "werkzeug scrypt": werkzeug_hash("scrypt", ":1024:8:2"),
    "django pbkdf2_sha256": django_hash(hashers.PBKDF2PasswordHasher(), iterations=1000),
    "django pbkdf2_sha1": django_hash(hashers.PBKDF2SHA1PasswordHasher(), iterations=1000),
    "django scrypt": django_hash(hashers.ScryptPasswordHasher(), work_factor=1024),
    "django bcrypt_sha256": django_hash(hashers.BCryptSHA256PasswordHasher(), rounds=4),
    "django argon2": django_hash(hashers.Argon2PasswordHasher(), time_cost=1, memory_cost=64, parallelism=2),
    "argon2id": argon2_hash(argon2.Type.ID),
    "argon2i": argon2_hash(argon2.Type.I),
    "argon2d": argon2_hash(argon2.Type.D),
    "passlib pbkdf2_sha1": passlib_hash(passlib.pbkdf2_sha1, rounds=1000),
    "passlib pbkdf2_sha256": passlib_hash(passlib.pbkdf2_sha256, rounds=1000),
    "passlib pbkdf2_sha512": passlib_hash(passlib.pbkdf2_sha512, rounds=1000),
    "passlib scrypt": passlib_hash(passlib.scrypt, rounds=10),
    "ldap {SSHA}": passlib_hash(passlib.ldap_salted_sha1),
    "ldap {SSHA256}": passlib_hash(passlib.ldap_salted_sha256),
    "ldap {SSHA384}": salted_sha384(),
    "ldap {SSHA512}": passlib_hash(passlib.ldap_salted_sha512),
    "ldap {CRYPT}": "{CRYPT}" + passlib_hash(passlib.sha512_crypt, rounds=1000),
    "crypt $5$": passlib_hash(passlib.sha256_crypt, rounds=1000),
    "crypt $5$ without rounds": passlib.sha256_crypt.using(rounds=5000).hash(password),
    "crypt $6$": passlib_hash(passlib.sha512_crypt, rounds=1337, salt_size=8),
    "firebase scrypt": firebase_hash(),
    "bcrypt 2b": bcrypt_hash(),
    "bcrypt 2a": bcrypt_hash(b"2a"),
    "django bcrypt": "bcrypt$" + bcrypt_hash(),
}
json.dump(hashes, sys.stdout)
