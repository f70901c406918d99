"""Authorities and certificates, valid and invalid, created by openssl when a test needs them."""
from .namespaces import run


class Certificates:
    """Keys are in NAME.key, certificates in NAME.pem."""

    def __init__(self, lab, name="pki"):
        self.directory = lab.directory / name
        self.directory.mkdir()

    def path(self, name):
        return self.directory / name

    def self_signed(self, name):
        """An authority, or a certificate signed by nobody else."""
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN={name}", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"))
        return name

    def issue(self, name, by="ca", start="20200101000000Z", end="20990101000000Z", extensions="subjectAltName=DNS:db.example.net"):
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.csr"))
        self.path("index").write_text("")
        self.path("extensions").write_text(extensions)
        self.path("ca.conf").write_text(
            f"[ca]\ndefault_ca = d\n[d]\ndatabase = {self.path('index')}\nnew_certs_dir = {self.directory}\nrand_serial = yes\n"
            "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n")
        run("openssl", "ca", "-batch", "-notext", "-config", self.path("ca.conf"), "-cert", self.path(f"{by}.pem"),
            "-keyfile", self.path(f"{by}.key"), "-in", self.path(f"{name}.csr"), "-out", self.path(f"{name}.pem"),
            "-startdate", start, "-enddate", end, "-extfile", self.path("extensions"))
        return name

    def revoke(self, file, *names, by="ca", expired=False):
        """A revocation list of an authority, with these certificates."""
        self.path("index").write_text("")
        common = ("openssl", "ca", "-config", self.path("ca.conf"), "-cert", self.path(f"{by}.pem"), "-keyfile", self.path(f"{by}.key"))
        for name in names:
            run(*common, "-revoke", self.path(f"{name}.pem"))
        life = ("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z") if expired else ("-crlhours", "1")
        run(*common, "-gencrl", *life, "-out", self.path(file))

    def copy(self, source, target):
        """Replaces the key and certificate of one name by another's; each file is complete at all times."""
        for suffix in ("key", "pem"):
            fresh = self.path(f"{target}.{suffix}.new")
            fresh.write_bytes(self.path(f"{source}.{suffix}").read_bytes())
            fresh.rename(self.path(f"{target}.{suffix}"))

    def keys(self, name, authority="ca"):
        """The keys of the `ovsdb:` section."""
        return {"private-key": str(self.path(f"{name}.key")), "certificate": str(self.path(f"{name}.pem")),
                "ca-certificate": str(self.path(f"{authority}.pem"))}

    def options(self, name, authority="ca"):
        """The options of ovsdb-server and its clients."""
        return [f"--private-key={self.path(name + '.key')}", f"--certificate={self.path(name + '.pem')}",
                f"--ca-cert={self.path(authority + '.pem')}"]
