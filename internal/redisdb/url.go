package redisdb

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

const forms = "redis://[user:password@]host[:port][/db], rediss://… for TLS, unix://[user:password@]/path/to.sock[?db=n], " +
	"redis+sentinel://[user:password@]host:port,host:port/master[/db] or redis+cluster://[user:password@]host:port,host:port"

// The default ports of a URL.
const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// parse parses an address. Errors of net/url and go-redis quote the parts where a
// password with an unescaped / or ? ends up, so each form is checked before they see
// it.
func parse(address string) (*redis.UniversalOptions, error) {
	if address == "" {
		return nil, fmt.Errorf("redis address: it is empty: write %s", forms)
	}
	scheme, rest, ok := strings.Cut(address, "://")
	plain, topology, _ := strings.Cut(scheme, "+")
	switch {
	case ok && (scheme == "redis" || scheme == "rediss" || scheme == "unix"):
		return parseOne(address)
	case ok && (plain == "redis" || plain == "rediss") && (topology == "sentinel" || topology == "cluster"):
		return parseMany(plain, topology, rest)
	}
	if _, err := url.Parse(address); err != nil {
		return nil, notAURL()
	}
	return nil, fmt.Errorf("redis address: it does not begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://: write %s", forms)
}

func notAURL() error {
	return fmt.Errorf("redis address: not a URL (it is not shown because it may contain a password): write %s, with / ? # @ : %% of a password percent-encoded", forms)
}

// parseOne parses the address of a single server.
func parseOne(address string) (*redis.UniversalOptions, error) {
	before, query, found := strings.Cut(address, "?")
	if found {
		query = "?" + query
	}
	query, own, err := takeOptions(query)
	if err != nil {
		return nil, err
	}
	single, err := parseURL(before + query)
	if err != nil {
		return nil, err
	}
	if own.ofSentinels() {
		return nil, errSentinelOptions
	}
	o := universal(single)
	return o, own.tls.apply(o)
}

// parseURL parses the forms that go-redis knows.
func parseURL(address string) (*redis.Options, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, notAURL()
	}
	if u.Opaque != "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return nil, errors.New("redis address: there is an @ after the host: percent-encode / ? # @ : % of the password")
	}
	if u.Fragment != "" {
		return nil, errors.New("redis address: it contains a #: percent-encode it if it belongs to the password")
	}
	if strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[") {
		return nil, notAURL() // user:password: in place of a host
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		// There was no @ after the host, so this contains no part of a password.
		return nil, fmt.Errorf("redis address of host %q: %s", u.Host, strings.TrimPrefix(err.Error(), "redis: "))
	}
	if err := checkBounds(o); err != nil {
		return nil, fmt.Errorf("redis address of host %q: %w", u.Host, err)
	}
	return o, nil
}

// parseMany parses a Sentinel's or Cluster's address. The part between the user and the
// path is a list of hosts, which is not a URL. Each host therefore gets a URL of its
// own, and the first one carries all the rest.
func parseMany(plain, topology, rest string) (*redis.UniversalOptions, error) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	user, hosts := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	path, query := tail, ""
	if i := strings.IndexAny(tail, "?#"); i >= 0 {
		path, query = tail[:i], tail[i:]
	}
	if strings.Contains(tail, "@") {
		return nil, errors.New("redis address: there is an @ after the hosts: percent-encode / ? # @ : % of the password, " +
			"and of sentinel_password")
	}
	master, db, err := split(topology, path)
	if err != nil {
		return nil, err
	}
	port := redisPort
	if topology == "sentinel" {
		port = sentinelPort
	}
	addresses, err := listed(hosts, port)
	if err != nil {
		return nil, err
	}
	query, own, err := takeOptions(query)
	if err != nil {
		return nil, err
	}
	single, err := parseURL(plain + "://" + user + addresses[0] + db + query)
	if err != nil {
		return nil, err
	}
	if topology != "sentinel" && own.ofSentinels() {
		return nil, errSentinelOptions
	}
	o := universal(single)
	o.Addrs, o.MasterName, o.IsClusterMode = addresses, master, topology == "cluster"
	o.SentinelUsername, o.SentinelPassword = own.sentinelUsername, own.sentinelPassword
	if o.TLSConfig != nil {
		// Each server is verified by the name that is dialled.
		o.TLSConfig.ServerName = ""
	}
	return o, own.tls.apply(o)
}

// split splits the path into the master's name and "/db".
func split(topology, path string) (master, db string, err error) {
	path = strings.TrimSuffix(path, "/")
	if topology == "cluster" {
		if path != "" && path != "/0" {
			return "", "", errors.New("redis address: a Cluster has only database 0: remove the part after the hosts")
		}
		return "", "", nil
	}
	name, number, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if found {
		db = "/" + number
	}
	if master, err = url.PathUnescape(name); err != nil || master == "" {
		return "", "", errors.New("redis address: the master's name is missing: write redis+sentinel://host:port,host:port/master")
	}
	return master, db, nil
}

// listed returns host:port of each host in a comma-separated list.
func listed(hosts, port string) ([]string, error) {
	var addresses []string
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" || u.Host != host {
			return nil, errors.New("redis address: the list of hosts contains something that is not host:port " +
				"(it is not shown because it may contain a password): separate them by commas, without spaces")
		}
		addresses = append(addresses, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	}
	return addresses, nil
}

// ownOptions are the options of a URL's query that go-redis does not know.
type ownOptions struct {
	sentinelUsername, sentinelPassword string
	tls                                TLS
}

func (o ownOptions) ofSentinels() bool { return o.sentinelUsername != "" || o.sentinelPassword != "" }

var errSentinelOptions = errors.New("redis address: sentinel_username and sentinel_password belong to redis+sentinel:// only")

// takeOptions removes our options from a query that begins with "?", or is empty.
func takeOptions(query string) (rest string, own ownOptions, err error) {
	if query == "" || strings.ContainsAny(query, "#@") { // parseURL rejects both
		return query, own, nil
	}
	values, err := url.ParseQuery(query[1:])
	if err != nil {
		return "", own, notAURL()
	}
	for name, field := range map[string]*string{
		"sentinel_username": &own.sentinelUsername, "sentinel_password": &own.sentinelPassword,
		"tls_ca": &own.tls.CA, "tls_cert": &own.tls.Cert, "tls_key": &own.tls.Key, "tls_server_name": &own.tls.ServerName,
	} {
		*field = values.Get(name)
		values.Del(name)
	}
	return "?" + values.Encode(), own, nil
}

// universal copies the options that a URL can contain.
func universal(o *redis.Options) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:    []string{o.Addr},
		DB:       o.DB,
		Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, Protocol: o.Protocol,
		TLSConfig: o.TLSConfig,

		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, DialerRetryTimeout: o.DialerRetryTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,

		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns,
		MaxConcurrentDials: o.MaxConcurrentDials,
		ConnMaxIdleTime:    o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		PipelinePoolSize:      o.PipelinePoolSize, PipelineReadBufferSize: o.PipelineReadBufferSize,
		PipelineWriteBufferSize: o.PipelineWriteBufferSize,
	}
}
