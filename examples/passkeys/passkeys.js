// What a page does for passkeys. Each function is one way through docs/API-DESIGN.md, "Passkeys"; `server` is
// the address of the API, such as "https://api.bank.example".
//
// A refusal of the server is thrown as a `Problem`. What the browser or the authenticator refuses is a
// `DOMException`: `NotAllowedError` when there is no passkey or the user did not want to or could not be
// verified, `InvalidStateError` when the authenticator has a passkey of this account already, `SecurityError`
// when the page is not of the passkeys' site.

/** A refusal of the server (RFC 9457). */
export class Problem extends Error {
  constructor({ title, detail, code, status }) {
    super(detail ?? title);
    this.name = "Problem";
    /** What it is, for programs: one of the codes in docs/API-DESIGN.md. */
    this.code = code;
    this.status = status;
  }
}

/** Makes a passkey: the options are the server's, and what comes of it is for the server, as it is. */
export async function create(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return (await navigator.credentials.create({ publicKey })).toJSON();
}

/** Lets the user show a passkey: the options are the server's, and what comes of it is for the server, as it is. */
export async function show(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}

/** Signs in with a passkey, without a password and without saying who it is. Gives the tokens of a session. */
export async function signIn(server) {
  const options = await post(server, "/api/v1/auth/login/passkey/challenge");
  return post(server, "/api/v1/auth/login/passkey", { passkey: await show(options) });
}

/** Signs in with the password and, where there is one, a passkey. Gives the tokens of a session. */
export async function signInWithPassword(server, identifier, password) {
  const first = await post(server, "/api/v1/auth/login", { identifier, password });
  if (!first.mfaRequired) return first;
  const { mfaToken } = first;
  const options = await post(server, "/api/v1/auth/login/mfa/challenge", { mfaToken });
  return post(server, "/api/v1/auth/login/mfa", { mfaToken, passkey: await show(options) });
}

/**
 * Adds a passkey for whoever is signed in. The first one comes with `recoveryCodes`, which are shown once.
 * `keep` is given the session's tokens if the user had to show again who they are.
 */
export async function add(server, accessToken, name, keep) {
  return freshly(server, accessToken, keep, async (accessToken) => {
    const options = await post(server, "/api/v1/me/passkeys/registration", {}, accessToken);
    const passkey = await create(options);
    try {
      return await post(server, "/api/v1/me/passkeys", { name, passkey }, accessToken);
    } catch (problem) {
      // Of what failed on the way nobody knows whether it was added.
      if (problem.status < 500) await forget(options.rp.id, passkey.id);
      throw problem;
    }
  });
}

/** Has the authenticator forget a passkey that nobody can sign in with, so that it is not offered. */
async function forget(rpId, credentialId) {
  // Not every browser can yet.
  const forgotten = PublicKeyCredential.signalUnknownCredential?.({ rpId, credentialId });
  // Why it was refused matters more than that it may be offered again.
  await forgotten?.catch(() => {});
}

/** Shows again who one is. Gives the next tokens of the session; those from before count no more. */
export async function reauthenticate(server, accessToken) {
  const options = await post(server, "/api/v1/me/passkeys/challenge", {}, accessToken);
  const body = { passkey: await show(options) };
  return post(server, "/api/v1/auth/reauthenticate", body, accessToken);
}

/**
 * Does what may need a fresh authentication, after that where the server asks for it. Then `keep` is given the
 * session's next tokens, also when the action fails after all.
 */
export async function freshly(server, accessToken, keep, action) {
  try {
    return await action(accessToken);
  } catch (problem) {
    if (problem.code !== "insufficient_user_authentication") throw problem;
    const tokens = await reauthenticate(server, accessToken);
    keep?.(tokens);
    return action(tokens.accessToken);
  }
}

async function post(server, path, body = {}, accessToken) {
  const headers = { "Content-Type": "application/json" };
  if (accessToken) headers.Authorization = `Bearer ${accessToken}`;
  const answer = await fetch(server + path, { method: "POST", headers, body: JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw new Problem(content);
  return content;
}
