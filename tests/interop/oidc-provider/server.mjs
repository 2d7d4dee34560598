// An OpenID provider as its authors ship it (oidc-provider), with the two clients of the interop tests.
// Listens on a free port of loopback and prints its issuer. Ends when its group is killed.

import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const app = (client_id) => ({
    client_id,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['dev.hookswitch.agent:/callback', 'http://127.0.0.1/callback'],
  })
  const provider = new Provider(issuer, {
    // By the book: `offline_access` counts only with `prompt=consent` (OpenID Connect Core, section 11).
    clients: [app('hookswitch-mobile'), app('hookswitch-strict')],
    // Phones get refresh tokens without it; the strict client is left to the default.
    issueRefreshToken: async (_, client, code) =>
      client.grantTypeAllowed('refresh_token') &&
      (client.clientId === 'hookswitch-mobile' || code.scopes.has('offline_access')),
    expiresWithSession: async () => false,
    features: { devInteractions: { enabled: true }, revocation: { enabled: true }, introspection: { enabled: false } },
    claims: { email: ['email', 'email_verified'], profile: ['name'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@acme.example`, email_verified: true, name: id }),
    }),
    ttl: { AccessToken: 60, RefreshToken: 86_400, Grant: 86_400, Session: 86_400, Interaction: 600, IdToken: 300 },
    cookies: { keys: [crypto.randomUUID()] },
  })

  // The hand of an administrator, for the tests: POST /interop/end-all ends every grant.
  const grants = new Set()
  provider.on('refresh_token.saved', (token) => grants.add(token.grantId))
  const callback = provider.callback()
  server.on('request', async (request, response) => {
    if (request.method === 'POST' && request.url === '/interop/end-all') {
      for (const grant of grants) {
        await provider.RefreshToken.revokeByGrantId(grant)
        await provider.AccessToken.revokeByGrantId(grant)
      }
      grants.clear()
      response.writeHead(204).end()
    } else {
      await callback(request, response)
    }
  })
  console.log(`issuer ${issuer}`)
})
