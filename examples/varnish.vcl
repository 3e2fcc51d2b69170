# dozo behind Varnish: varnishd -a :6081 -f /etc/varnish/dozo.vcl -s malloc,2g, with a TLS terminator (nginx, hitch) before it.
# Images, lists and archives are kept as their Cache-Control says, and nothing that says nothing. An upload that is deleted through here is
# gone here at once.
vcl 4.1;

backend dozo {
    .host = "127.0.0.1";
    .port = "8080";
    .first_byte_timeout = 120s;
    # It counts as healthy from the start, not from the first probe on.
    .probe = { .url = "/healthz"; .interval = 5s; .initial = 3; }
}

# Who may PURGE, and whose word about readers counts: the TLS terminator.
acl friends {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ friends) {
            return (synth(405, "Method Not Allowed"));
        }
        ban("obj.http.X-Url == " + req.url);
        return (synth(200, "Purged"));
    }
    # Varnish has put client.ip at the end of X-Forwarded-For. From strangers it is all that counts.
    if (client.ip !~ friends) {
        set req.http.X-Forwarded-For = client.ip;
        unset req.http.X-Forwarded-Proto;
    }
    unset req.http.Forwarded;

    # Event streams never end, so they are no objects.
    if (req.url ~ "^/api/events") {
        return (pipe);
    }
    # Nothing that is served depends on cookies; with them Varnish would keep nothing.
    unset req.http.Cookie;
}

sub vcl_pipe {
    set bereq.http.Connection = "close";
}

sub vcl_hash {
    # The OpenGraph page of an upload names the scheme that it was asked by.
    hash_data(req.http.X-Forwarded-Proto);
}

sub vcl_backend_response {
    if (!beresp.http.Cache-Control && !beresp.http.Expires) {
        set beresp.uncacheable = true;
        set beresp.ttl = 0s;
    }
    # For ten seconds what is old is served while a new one is fetched; for a week more it is asked for with its ETag.
    if (beresp.ttl > 0s) {
        set beresp.grace = 10s;
        set beresp.keep = 7d;
    }
    # What bans look at; readers do not see it.
    set beresp.http.X-Url = bereq.url;
}

sub vcl_deliver {
    # GET, POST or DELETE /delete/ID.png with the key: all forms of its address go. Where uploads.endpoint is another, say it here.
    if (req.url ~ "^/delete/[A-Z0-9]+" && resp.status == 204) {
        ban("obj.http.X-Url ~ ^/image/" + regsub(req.url, "^/delete/([A-Z0-9]+).*", "\1") + "([.?]|$)");
    }
    unset resp.http.X-Url;
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
