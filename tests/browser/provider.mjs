// An OpenID provider by other authors, for the part `sign-on` of `cargo xtask long`: whoever types a name at its page is that person.
// It says its issuer, reads the address that it leads back to, and lasts as long as its standard input.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [library, client_id, client_secret, personClaim] = process.argv.slice(2);
const { Provider } = await import(library);

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
// By this name it is another site than Bursar, so that a browser treats cookies as between two sites.
const issuer = `http://localhost:${server.address().port}`;
console.log(issuer);
const input = createInterface(process.stdin).on('close', () => process.exit());
const [callback] = await once(input, 'line');

const provider = new Provider(issuer, {
  clients: [{ client_id, client_secret, redirect_uris: [callback] }],
  claims: { profile: ['name', personClaim] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the campus`, [personClaim]: id }) }),
});
provider.use(async (context, next) => {
  await next();
  // Its pages would fetch a font.
  if (typeof context.body === 'string') context.body = context.body.replace(/@import[^;]*;/, '');
});
server.on('request', provider.callback());
