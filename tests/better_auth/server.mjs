// A Better Auth that is set up as in its documentation, so that tests get the
// tokens that stock front ends send. All data is in memory. Besides the endpoints
// of Better Auth, a few routes return the tokens that a front end, or a mailbox,
// would have.

import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { SignJWT } from "jose";

// Better Auth reads both of these from the environment.
const { BETTER_AUTH_URL: url, BETTER_AUTH_SECRET: secret } = process.env;
if (!url || !secret) {
  throw new Error("BETTER_AUTH_URL and BETTER_AUTH_SECRET have to be set");
}

const verificationTokens = new Map();

const auth = betterAuth({
  database: memoryAdapter({ user: [], session: [], account: [], verification: [], jwks: [] }),
  emailAndPassword: { enabled: true },
  emailVerification: {
    sendOnSignUp: true,
    sendVerificationEmail: async ({ user, token }) => {
      verificationTokens.set(user.email, token);
    },
  },
  session: { cookieCache: { enabled: true, strategy: "jwt" } },
  plugins: [jwt()],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});

// Front ends that share Better Auth's secret with an API sign a separate token for
// the user of the session.
async function sharedSecretToken(request) {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  if (!session) {
    return undefined;
  }
  const { id, email, name } = session.user;
  return new SignJWT({ email, name })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(id)
    .setIssuedAt()
    .setExpirationTime("15m")
    .sign(new TextEncoder().encode(secret));
}

function answer(response, token, statusWithoutToken) {
  response.writeHead(token ? 200 : statusWithoutToken, { "content-type": "application/json" });
  response.end(JSON.stringify(token ? { token } : {}));
}

const betterAuthHandler = toNodeHandler(auth);

async function handle(request, response) {
  const { pathname, searchParams } = new URL(request.url, url);
  if (pathname.startsWith("/api/auth/")) {
    await betterAuthHandler(request, response);
  } else if (pathname === "/shared-secret-token") {
    answer(response, await sharedSecretToken(request), 401);
  } else if (pathname === "/verification-token") {
    answer(response, verificationTokens.get(searchParams.get("email")), 404);
  } else {
    answer(response, undefined, 404);
  }
}

createServer(handle).listen(Number(new URL(url).port), "127.0.0.1", () => {
  console.log(`Better Auth listens on ${url}`);
});
