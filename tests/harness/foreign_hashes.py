"""Prints hashes of a password by the libraries that applications use, as JSON: {"format": "hash"}.

The password is the first line of standard input, as JSON. Costs are low, to be quick.
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

# passlib looks for bcrypt's version, and asks the deprecated module `crypt` what it can do.
warnings.simplefilter("ignore")
django.conf.settings.configure()


def django_hash(hasher, password, **costs):
    for name, cost in costs.items():
        setattr(hasher, name, cost)
    return hasher.encode(password, hasher.salt())


def firebase(password):
    """https://github.com/firebase/scrypt, in the form of Supabase Auth."""
    signer_key, salt, separator = os.urandom(64), os.urandom(10), b"\x07"
    key = hashlib.scrypt(password.encode(), salt=salt + separator, n=1 << 10, r=8, p=1, dklen=64)[:32]
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    signed = encryptor.update(signer_key) + encryptor.finalize()
    separator, signer_key, salt, signed = (
        base64.b64encode(part).decode() for part in (separator, signer_key, salt, signed)
    )
    return f"$fbscrypt$v=1,n=10,r=8,p=1,ss={separator},sk={signer_key}${salt}${signed}"


def all_hashes(password):
    raw = password.encode()
    small = {"time_cost": 1, "memory_cost": 64, "parallelism": 2}
    for method in ("pbkdf2:sha1", "pbkdf2:sha256", "pbkdf2:sha384", "pbkdf2:sha512"):
        yield f"werkzeug {method}", generate_password_hash(password, f"{method}:1000")
    yield "werkzeug scrypt", generate_password_hash(password, "scrypt:1024:8:2")
    yield "django pbkdf2_sha256", django_hash(hashers.PBKDF2PasswordHasher(), password, iterations=1000)
    yield "django pbkdf2_sha1", django_hash(hashers.PBKDF2SHA1PasswordHasher(), password, iterations=1000)
    yield "django scrypt", django_hash(hashers.ScryptPasswordHasher(), password, work_factor=1024)
    yield "django bcrypt_sha256", django_hash(hashers.BCryptSHA256PasswordHasher(), password, rounds=4)
    yield "django argon2", django_hash(hashers.Argon2PasswordHasher(), password, **small)
    for name, kind in (("argon2id", argon2.Type.ID), ("argon2i", argon2.Type.I), ("argon2d", argon2.Type.D)):
        yield name, argon2.PasswordHasher(type=kind, **small).hash(password)
    yield "passlib pbkdf2_sha1", passlib.pbkdf2_sha1.using(rounds=1000).hash(password)
    yield "passlib pbkdf2_sha256", passlib.pbkdf2_sha256.using(rounds=1000).hash(password)
    yield "passlib pbkdf2_sha512", passlib.pbkdf2_sha512.using(rounds=1000).hash(password)
    yield "passlib scrypt", passlib.scrypt.using(rounds=10).hash(password)
    yield "ldap {SSHA}", passlib.ldap_salted_sha1.hash(password)
    yield "ldap {SSHA256}", passlib.ldap_salted_sha256.hash(password)
    yield "ldap {SSHA512}", passlib.ldap_salted_sha512.hash(password)
    yield "crypt $5$", passlib.sha256_crypt.using(rounds=1000).hash(password)
    yield "crypt $5$, default rounds", passlib.sha256_crypt.using(rounds=5000).hash(password)
    yield "crypt $6$", passlib.sha512_crypt.using(rounds=1337, salt_size=8).hash(password)
    yield "ldap {CRYPT}", "{CRYPT}" + passlib.sha512_crypt.using(rounds=1000).hash(password)
    yield "firebase scrypt", firebase(password)
    # bcrypt 5 refuses what earlier versions cut off.
    yield "bcrypt 2b", bcrypt.hashpw(raw[:72], bcrypt.gensalt(4)).decode()
    yield "bcrypt 2a", bcrypt.hashpw(raw[:72], bcrypt.gensalt(4, b"2a")).decode()
    yield "django bcrypt", "bcrypt$" + bcrypt.hashpw(raw[:72], bcrypt.gensalt(4)).decode()


json.dump(dict(all_hashes(json.loads(sys.stdin.readline()))), sys.stdout)
