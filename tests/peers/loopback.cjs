// NODE_OPTIONS="--require …/loopback.cjs" keeps a Node server on this machine: every listen() goes to
// 127.0.0.1 (and to LOOPBACK_PORT if that is set), and no name but localhost resolves.
const dns = require('node:dns');
const net = require('node:net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const first = args[0];
  const port = (asked) => Number(process.env.LOOPBACK_PORT || asked);
  if (first && typeof first === 'object' && 'port' in first) {
    args[0] = { ...first, port: port(first.port), host: '127.0.0.1', ipv6Only: false };
  } else if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
    const rest = args.slice(1).filter((x) => typeof x === 'function' || typeof x === 'number');
    args = [port(first), '127.0.0.1', ...rest];
  }
  return listen.apply(this, args);
};

const isLocal = (name) => !name || name === 'localhost' || net.isIP(name) !== 0;
const refusal = (name) =>
  Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: name });

const lookup = dns.lookup;
dns.lookup = function (name, ...rest) {
  if (isLocal(name)) return lookup.call(this, name, ...rest);
  const done = rest[rest.length - 1];
  process.nextTick(() => done(refusal(name)));
};
const lookupPromise = dns.promises.lookup;
dns.promises.lookup = async function (name, ...rest) {
  if (isLocal(name)) return lookupPromise.call(this, name, ...rest);
  throw refusal(name);
};
