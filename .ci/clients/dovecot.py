"""A real Dovecot on a spool: its `imap` process, logged in beforehand, spoken to through its standard input and output."""

import imaplib
import os
import pathlib
import shutil
import subprocess
import tempfile

MAIL_UID = 5000

CONFIG = """
protocols = imap
mail_location = maildir:{maildir}
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/log
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
first_valid_gid = 0
ssl = no
namespace inbox {{
  inbox = yes
  separator = .
}}
"""


class Dovecot(imaplib.IMAP4_stream):
    """An imaplib client of a Dovecot that serves one Maildir."""

    def __init__(self, maildir):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="dovecot-"))
        (self.base / "run").mkdir()
        configuration = self.base / "dovecot.conf"
        configuration.write_text(CONFIG.format(maildir=maildir, base=self.base, uid=os.getuid() or MAIL_UID, gid=os.getgid() or MAIL_UID))
        # Dovecot refuses to handle mail as root: then everything is handed to another user, as a host with mail users would have it
        become = ""
        if os.getuid() == 0:
            for path in (self.base, maildir):
                subprocess.run(["chown", "-R", f"{MAIL_UID}:{MAIL_UID}", path], check=True)
            for parent in pathlib.Path(maildir).parents:
                if parent != pathlib.Path("/") and parent != pathlib.Path("/tmp"):
                    parent.chmod(parent.stat().st_mode | 0o011)
            become = f"setpriv --reuid {MAIL_UID} --regid {MAIL_UID} --clear-groups "
        command = (f"{become}env -i PATH={os.environ['PATH']} HOME={self.base} USER=anna DOVECOT_PRESERVE_ENVS= "
                   f"/usr/lib/dovecot/imap -c {configuration}")
        super().__init__(command)

    def __exit__(self, *reason):
        try:
            self.logout()
        finally:
            self.process.wait(timeout=20)
            shutil.rmtree(self.base, ignore_errors=True)
