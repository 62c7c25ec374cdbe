// The console in a browser: an administrator finds, invites, promotes and deletes, and what others see of it.
// `node console.mjs '{"browser":…,"url":…,"shots":…,"root":…,"admin":…,"user":…,"other":…,"password":…,"old_token":…,"script":true}'`
// prints what was seen as JSON. The four names are of users with these roles, and the token is of a login of the first some time ago.

import { fill, follow, press, says, start, variants } from './harness.mjs'

const task = JSON.parse(process.argv[2])
const { url, root, admin, user, other, password, old_token, script } = task
const { browser, open, look, expect, problems, steps } = await start(task)

async function logIn(page, name, path = '/authy/ui/account') {
  await page.goto(`${url}/authy/ui/login?return=${path}`)
  await fill(page, { Username: name, Password: password })
  await press(page, 'Log in')
}

// The page of a user, found by the search.
async function visit(page, name) {
  await page.goto(`${url}/authy/ui/admin/users`)
  await page.getByLabel('Name or address begins with').fill(name)
  await press(page, 'Search')
  await follow(page, name)
  await page.getByRole('heading', { level: 1, name }).waitFor()
}

// Everything that an administrator of any kind does; `show` looks at the pages.
async function administer(page, invited, show) {
  await visit(page, user)
  await show(page, 'user')

  // Give a role, and take it away.
  await page.getByLabel('Another role').selectOption('admin')
  await press(page, 'Give')
  await show(page, 'grant asked')
  await says(page, `${user} is an administrator`)
  await follow(page, 'Cancel')
  await page.getByLabel('Another role').selectOption('admin')
  await press(page, 'Give')
  await press(page, 'Give the role admin')
  await says(page, 'The user has the role now.')
  await show(page, 'granted')
  await follow(page, 'Take away the role admin')
  await show(page, 'revoke asked')
  await press(page, 'Take away the role admin')
  await says(page, 'The user no longer has the role.')

  // What else is done with an account.
  for (const [link, button, said] of [
    ['Send a reset link', 'Send the link', 'A mail with the link is on its way.'],
    ['Unlock', 'Unlock', 'The account is unlocked.'],
    ['Log out everywhere', 'Log out everywhere', 'The user is logged out everywhere.'],
    ['Delete', `Delete ${user}`, 'The account is deleted.'],
    ['Restore', `Restore ${user}`, 'The account is restored.'],
  ]) {
    await follow(page, link)
    await show(page, `asks ${link}`)
    await press(page, button)
    await says(page, said)
  }
  await show(page, 'user restored')

  // One device of somebody, who then has to log in again.
  const another = await open({ userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' })
  await logIn(another, other)
  await visit(page, other)
  await follow(page, 'Log out Firefox on Linux')
  await show(page, 'asks end of session')
  await press(page, 'Log out Firefox on Linux')
  await says(page, 'The device is logged out.')
  await another.goto(`${url}/authy/ui/account`)
  await says(another, 'Forgot your password?')
  await another.context().close()

  // Invite: with what is wrong, then right.
  await page.goto(`${url}/authy/ui/admin/users`)
  await follow(page, 'Invite a user')
  await show(page, 'invite')
  await fill(page, { Username: 'x', 'Email address': `${invited}@example.org` })
  await page.getByLabel('Role').selectOption('guest')
  await press(page, 'Invite')
  await show(page, 'invite refused')
  expect(await page.getByLabel('Role').inputValue() === 'guest', 'the role is still chosen')
  await fill(page, { Username: invited })
  await press(page, 'Invite')
  await says(page, 'The user is created.')
  await show(page, 'invited')

  // Roles.
  await follow(page, 'Roles')
  await show(page, 'roles')
  await follow(page, 'Create a role')
  await fill(page, { Name: 'head of sales', 'What it is for': 'sees', Level: '10' })
  await press(page, 'Create the role')
  await show(page, 'role refused')
  await fill(page, { 'What it is for': 'sees all sales', Level: '50' })
  await press(page, 'Create the role')
  await says(page, 'The role is created.')
  await show(page, 'role')
  // A page of an invitation that is still open when the role is deleted.
  const late = await open({}, page)
  await late.goto(`${url}/authy/ui/admin/create-user`)
  await late.getByLabel('Role').selectOption('head of sales')
  await follow(page, 'Delete the role')
  await show(page, 'asks delete role')
  await press(page, 'Delete the role head of sales')
  await says(page, 'The role is deleted.')
  await follow(page, 'user')
  await show(page, 'role with users')
  await fill(late, { Username: `${invited}-late`, 'Email address': `${invited}-late@example.org` })
  await press(late, 'Invite')
  await says(late, 'There is no such role')
  await show(late, 'invite with a role that is gone')
  await late.close()
}

try {
  // The most powerful: from the account, by links alone.
  const page = await open()
  await logIn(page, root)
  await follow(page, 'Administration')
  await page.goto(`${url}/authy/ui/admin/users`)
  await look(page, 'users')
  await page.getByLabel('Role').selectOption('user')
  await page.getByLabel('State').selectOption('active')
  await press(page, 'Search')
  expect(page.url().includes('role=user'), 'the filter is in the address')
  await look(page, 'users filtered')
  await administer(page, 'invited', look)

  // The last of its kind, and for good.
  await visit(page, root)
  await follow(page, 'Delete')
  await press(page, `Delete ${root}`)
  await says(page, 'the last account with the most powerful role')
  await look(page, 'refused')
  await visit(page, 'invited')
  await follow(page, 'Erase')
  await look(page, 'asks erase')
  await press(page, 'Erase invited for good')
  await says(page, 'The personal data is erased.')
  await look(page, 'erased')

  // After a while one is asked for the password, and then goes on with what one was about to do.
  const idle = await open()
  await idle.context().addCookies([{ name: 'authy-access', value: old_token, url }])
  await visit(idle, other)
  await follow(idle, 'Delete')
  await says(idle, 'Is it still you?')
  await look(idle, 'asked again')
  await fill(idle, { Password: password })
  await press(idle, 'Continue')
  await idle.getByRole('button', { name: `Delete ${other}`, exact: true }).waitFor()
  await follow(idle, 'Cancel')
  await idle.context().close()

  // An administrator does the same, sees who is more powerful, and can do nothing about it.
  const lesser = await open()
  await logIn(lesser, admin, '/authy/ui/admin/users')
  await visit(lesser, root)
  await says(lesser, 'you can look, and change nothing')
  await look(lesser, 'beyond')
  await administer(lesser, 'invited-by-admin', async () => {})
  await visit(lesser, user)
  expect(await lesser.getByRole('link', { name: 'Erase', exact: true }).count() === 0, 'an administrator does not erase')
  for (const path of ['keys/rotate', 'sinks/mail/dismiss']) {
    await lesser.goto(`${url}/authy/ui/admin/${path}`)
    await says(lesser, 'Your roles do not permit this.')
  }

  // A user and nobody see nothing.
  await visit(page, other)
  const about = new URL(page.url()).pathname.split('/').at(-1)
  const [plain, nobody] = [await open(), await open()]
  await logIn(plain, other)
  expect(await plain.getByRole('link', { name: 'Administration' }).count() === 0, 'nothing leads a user to the console')
  for (const path of ['', '/users', `/users/${about}`, '/create-user', '/roles', '/create-role', '/events', '/keys', '/sinks']) {
    await plain.goto(`${url}/authy/ui/admin${path}`)
    await says(plain, 'Your roles do not permit this.')
    await nobody.goto(`${url}/authy/ui/admin${path}`)
    expect(new URL(nobody.url()).pathname === '/authy/ui/login', `nobody is led from ${path} to the login`)
  }
  await look(plain, 'not permitted')

  // In German on a small screen, and dark. Without scripts there is nothing else to see.
  const state = (await page.context().cookies()).filter(({ name }) => name !== 'authy-language')
  for (const [kind, options] of script ? variants : []) {
    const smaller = await open(options)
    await smaller.context().addCookies(state)
    for (const path of ['users', `users/${about}`, `users/${about}/delete`, 'create-user', 'roles', 'roles/user', 'create-role']) {
      await smaller.goto(`${url}/authy/ui/admin/${path}`)
      await look(smaller, `${kind} ${path.replace(about, 'x')}`)
    }
    const expected = kind.includes('german') ? 'de' : 'en'
    expect(await smaller.locator('html').getAttribute('lang') === expected, `${kind} has its language`)
    await smaller.context().close()
  }
  expect(steps.length > (script ? 40 : 25), 'everything was looked at')
} finally {
  await browser.close()
}
console.log(JSON.stringify({ problems, steps }))
