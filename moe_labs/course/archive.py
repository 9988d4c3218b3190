"""Zip files that come out the same, byte for byte, wherever and whenever they are written."""

import stat
import zipfile

import pyzipper

# The first moment that a zip file can name: the time of writing says nothing about the contents.
TIME = (1980, 1, 1, 0, 0, 0)
MODE = stat.S_IFREG | 0o644
UNIX = 3


def write_zip(path, files):
    """Write a zip file; names sorted, times and modes fixed, nothing compressed.

    Compressors differ from machine to machine, and so would their bytes.

    Args:
        path: where it goes.
        files: dictionary from a file's name to its bytes.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(_described(zipfile.ZipInfo(name, TIME)), files[name])


def write_encrypted_zip(path, files, password):
    """The same, compressed, and encrypted with AES-256. Names and sizes can still be read.

    Args:
        path: where it goes.
        files: dictionary from a file's name to its bytes.
        password: a text.
    """
    with pyzipper.AESZipFile(
        path, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setpassword(password.encode())
        for name in sorted(files):
            info = _described(pyzipper.zipfile_aes.AESZipInfo(name, TIME))
            archive.writestr(info, files[name], compress_type=pyzipper.ZIP_DEFLATED)


def _described(info):
    info.create_system = UNIX
    info.external_attr = MODE << 16
    return info
