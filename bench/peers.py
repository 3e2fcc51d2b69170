"""peers: dozo and the servers it is compared with, each as its maker would run it for files: one worker, on one core, no access log.

Every server has a folder of its own for what it writes, an http port, and listens on loopback only. Stopping one ends its own process
and nothing else.
"""
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from cases import CACHE_CONTROL, LIST, METADATA
from servers import free_port

TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 12000
IS_ROOT = os.geteuid() == 0


class Unmeasured(Exception):
    """What keeps the run from being whole."""


def run_program(dozo, name, cpu):
    """What a program of this folder says, as JSON; it is built beside the server that is measured."""
    build = pathlib.Path(os.path.abspath(dozo)).parent
    made = subprocess.run(["ninja", "-C", build, f"bench/{name}"], capture_output=True, text=True)
    if made.returncode != 0:
        raise Unmeasured(f"{name} cannot be built:\n{made.stdout}{made.stderr}")
    got = subprocess.run(["taskset", "-c", str(cpu), build / "bench" / name], capture_output=True, text=True)
    if got.returncode != 0:
        raise Unmeasured(f"{name}: {got.stderr}")
    return json.loads(got.stdout)


def tree(pid):
    """A process and its descendants."""
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                out += tree(int(child))
        except OSError:
            continue
    return out


class Server:
    def __init__(self, name, folder, cpu, cmd, http_port, https_port=0, env=None):
        self.name, self.ports = name, {"http": http_port, "https": https_port}
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), *cmd], cwd=folder, stdout=self.log, stderr=subprocess.STDOUT,
                                        env=os.environ | (env or {}))

    def wait(self):
        for port in filter(None, self.ports.values()):
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), 0.1).close()
                    break
                except OSError:
                    if self.process.poll() is not None:
                        self.fail("ended")
                    time.sleep(0.05)
            else:
                self.fail("does not listen")
        return self

    def fail(self, why):
        self.log.flush()
        raise Unmeasured(f"{self.name} {why}:\n{pathlib.Path(self.log.name).read_text()[-2000:]}")

    def cpu_s(self):
        ticks = 0
        for pid in tree(self.process.pid):
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def memory_bytes(self):
        """Proportional set size: what is shared between its processes counts once."""
        kib = 0
        for pid in tree(self.process.pid):
            try:
                kib += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
            except (OSError, AttributeError):
                continue
        return kib * 1024

    def fetch(self, ask, scheme="http", headers=()):
        """Status, body as sent, headers with small names."""
        port = self.ports[scheme]
        if scheme == "https":
            c = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl._create_unverified_context())
        else:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.putrequest(ask.method, ask.path, skip_accept_encoding=True)
        for name, value in (*ask.headers, *headers):
            c.putheader(name, value)
        c.endheaders()
        r = c.getresponse()
        answer = r.status, r.read(), {k.lower(): v for k, v in r.getheaders()}
        c.close()
        return answer

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def make_certificate(folder):
    """One certificate for all of them: ECDSA P-256."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o600)


def start_dozo(binary, top, folder, cpu):
    port, tls = free_port(), free_port()
    (folder / "dozo.yaml").write_text(f"""
listen: ['127.0.0.1:{port}', 'https://127.0.0.1:{tls}']
tls: {{ certificates: [{top}/cert.pem], keys: [{top}/key.pem] }}
data_dir: {folder}/data
http: {{ threads: 1, max_connections: {CONNECTIONS} }}
log: {{ level: warn }}
""")
    subprocess.run([binary, "import", "komizip", top / "chapters.json", top / "cdn", "--shelf", "bench", "--quiet",
                    "--config", "dozo.yaml"], cwd=folder, check=True)
    return Server("dozo", folder, cpu, [binary, "serve", "--config", "dozo.yaml"], port, tls)


def start_nginx(top, folder, cpu):
    port, tls = free_port(), free_port()
    (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_rlimit_nofile 20000;
{'user root;' if IS_ROOT else ''}
events {{ worker_connections {CONNECTIONS}; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75s;
  open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s; types {{ image/jpeg jpg; application/json json; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5; ssl_certificate {top}/cert.pem; ssl_certificate_key {top}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{port} backlog=4096; listen 127.0.0.1:{tls} ssl http2 backlog=4096; root {top}/cdn;
    location / {{ add_header Cache-Control "{CACHE_CONTROL}"; add_header X-Metadata '{METADATA}'; }}
    location = /{LIST} {{ gzip_static on; gzip_vary on; }}
  }}
}}""")
    return Server("nginx", folder, cpu, ["nginx", "-c", folder / "nginx.conf"], port, tls)


def start_h2o(top, folder, cpu):
    port, tls = free_port(), free_port()
    (folder / "h2o.conf").write_text(f"""
num-threads: 1
max-connections: {CONNECTIONS}
http1-request-timeout: 75
{'user: root' if IS_ROOT else ''}
listen: {{ host: 127.0.0.1, port: {port} }}
listen: {{ host: 127.0.0.1, port: {tls}, ssl: {{ certificate-file: {top}/cert.pem, key-file: {top}/key.pem }} }}
hosts:
  default:
    paths:
      "/":
        file.dir: {top}/cdn
        file.send-compressed: ON
        header.add: "Cache-Control: {CACHE_CONTROL}"
        header.add: 'X-Metadata: {METADATA}'
""")
    return Server("h2o", folder, cpu, ["h2o", "-c", folder / "h2o.conf"], port, tls)


def start_lighttpd(top, folder, cpu):
    port, tls = free_port(), free_port()
    quoted = METADATA.replace('"', '\\"')
    (folder / "lighttpd.conf").write_text(f"""
server.modules = ("mod_setenv", "mod_openssl")
server.port = {port}
server.bind = "127.0.0.1"
server.document-root = "{top}/cdn"
server.max-connections = {CONNECTIONS}
server.max-fds = 20000
server.listen-backlog = 4096
server.network-backend = "sendfile"
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 75
mimetype.assign = (".jpg" => "image/jpeg", ".json" => "application/json")
ssl.pemfile = "{top}/cert.pem"
ssl.privkey = "{top}/key.pem"
$SERVER["socket"] == "127.0.0.1:{tls}" {{ ssl.engine = "enable" }}
setenv.add-response-header = ("Cache-Control" => "{CACHE_CONTROL}", "X-Metadata" => "{quoted}")
""")
    return Server("lighttpd", folder, cpu, ["lighttpd", "-D", "-f", folder / "lighttpd.conf"], port, tls)


def start_caddy(top, folder, cpu):
    port, tls = free_port(), free_port()
    # A brace would begin a placeholder.
    metadata = METADATA.replace("{", "\\{").replace("}", "\\}")
    (folder / "Caddyfile").write_text(f"""
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
(files) {{
  bind 127.0.0.1
  root * {top}/cdn
  header Cache-Control "{CACHE_CONTROL}"
  header X-Metadata `{metadata}`
  file_server {{
    precompressed gzip
  }}
}}
http://:{port} {{
  import files
}}
https://:{tls} {{
  tls {top}/cert.pem {top}/key.pem
  import files
}}
""")
    return Server("caddy", folder, cpu, ["caddy", "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"], port, tls,
                  {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)})


def start_apache(top, folder, cpu):
    port, tls = free_port(), free_port()
    modules = "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"
                      for m in ("mpm_event", "authz_core", "headers", "mime", "ssl", "http2"))
    (folder / "mime.types").write_text("image/jpeg jpg\napplication/json json\n")
    quoted = METADATA.replace('"', '\\"')
    (folder / "httpd.conf").write_text(f"""
{modules}
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/error.log
TypesConfig {folder}/mime.types
{'User www-data' if IS_ROOT else ''}
{'Group www-data' if IS_ROOT else ''}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls} https
ListenBackLog 4096
StartServers 1
ServerLimit 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
AsyncRequestWorkerFactor 200
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 75
EnableSendfile On
SSLSessionCache none
Header set Cache-Control "{CACHE_CONTROL}"
Header set X-Metadata "{quoted}"
DocumentRoot {top}/cdn
<VirtualHost 127.0.0.1:{tls}>
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile {top}/cert.pem
  SSLCertificateKeyFile {top}/key.pem
</VirtualHost>
""")
    return Server("apache", folder, cpu, ["apache2", "-d", folder, "-f", folder / "httpd.conf", "-DFOREGROUND"], port, tls)


class Backend(http.server.BaseHTTPRequestHandler):
    """Where Varnish gets its objects, once."""
    protocol_version = "HTTP/1.1"
    cdn = None

    def do_GET(self):
        file = self.cdn / self.path.lstrip("/")
        packed = self.cdn / (file.name + ".gz")
        gzip = packed.exists() and "gzip" in self.headers.get("Accept-Encoding", "")
        if not file.is_file():
            self.send_error(404)
            return
        body = (packed if gzip else file).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json" if file.suffix == ".json" else "image/jpeg")
        self.send_header("ETag", f'"{len(body):x}-{int(gzip)}"')
        self.send_header("Cache-Control", CACHE_CONTROL)
        self.send_header("X-Metadata", METADATA)
        if packed.exists():
            self.send_header("Vary", "Accept-Encoding")
        if gzip:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Varnish(Server):
    def stop(self):
        super().stop()
        self.backend.shutdown()
        self.backend.server_close()


def start_varnish(top, folder, cpu):
    port = free_port()
    handler = type("Handler", (Backend,), {"cdn": top / "cdn"})
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    # Its own gzip is off: it stores both variants as they come, and unpacks nothing per request.
    s = Varnish("varnish", folder, cpu, ["varnishd", "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{backend.server_port}",
                "-n", folder / "work", "-s", "malloc,256m", "-T", "none", "-p", "http_gzip_support=off", "-p", "timeout_idle=75",
                "-p", "listen_depth=4096"], port)
    s.backend = backend
    return s


STARTS = {"nginx": start_nginx, "h2o": start_h2o, "varnish": start_varnish, "lighttpd": start_lighttpd, "caddy": start_caddy,
          "apache": start_apache}
TOOLS = {"nginx": "nginx", "h2o": "h2o", "varnish": "varnishd", "lighttpd": "lighttpd", "caddy": "caddy", "apache": "apache2"}


def version(name):
    flag = {"nginx": "-v", "h2o": "--version", "varnish": "-V", "lighttpd": "-v", "caddy": "version", "apache": "-v"}[name]
    got = subprocess.run([TOOLS[name], flag], capture_output=True, text=True)
    return re.search(r"\d+\.\d+(\.\d+)?", got.stdout + got.stderr).group(0)


def missing_tools(names):
    return [t for t in ("taskset", "wrk", "h2load", "openssl", "curl", "strace", *(TOOLS[n] for n in names)) if not shutil.which(t)]
